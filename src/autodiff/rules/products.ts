/**
 * Matrix products. FusedMatMul (com.microsoft) computes alpha * op(A) op(B) with transposition on the fly, so no
 * transposed copy of a weight is ever made (onnxruntime would fold an explicit Transpose of a constant into one).
 */

import { HoneError } from '../../errors.js';
import { type Attributes, microsoft, numberAttribute } from '../../onnx/index.js';
import { emit, outputGradient, type RuleContext, type RuleTable, rule } from '../rule.js';

interface Product {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

function fusedMatMul(c: RuleContext, a: string, b: string, { transA, transB, alpha }: Product): string {
  const attributes: Attributes = { transA: { i: Number(transA) }, transB: { i: Number(transB) }, alpha: { f: alpha } };
  return c.graph.add('FusedMatMul', [a, b], { domain: microsoft, attributes });
}

/** Reshapes [..., n] to [rows, n]; n must be a constant. */
function flatten(c: RuleContext, value: string, like: string): string {
  const shape = c.shape(like);
  if (shape.length === 2) return value;
  const columns = shape[shape.length - 1];
  if (columns === null || columns === undefined) {
    throw new HoneError(
      'OPERATOR_NOT_DIFFERENTIABLE',
      `${c.node.op} ${c.node.name}: the last dimension of ${like} is not constant`,
    );
  }
  return emit(c, 'Reshape', [value, c.graph.int64([-1, columns])]);
}

/** Gradients of Y = alpha * op(A) op(B), with batch axes that may be broadcast, or with a plain matrix B. */
function productGradients(c: RuleContext, product: Product): (string | undefined)[] {
  const dy = outputGradient(c);
  const [a, b] = c.node.inputs as [string, string];
  const { transA, transB, alpha } = product;
  const shapeA = c.shape(a);
  const shapeB = c.shape(b);
  const y = c.node.outputs[0] as string;
  let da: string | undefined;
  if (c.needs(0)) {
    // dA = alpha * dY op(B)^T, transposed if A is
    da = transA
      ? fusedMatMul(c, b, dy, { transA: transB, transB: true, alpha })
      : fusedMatMul(c, dy, b, { transA: false, transB: !transB, alpha });
    if (shapeA.length < shapeB.length) da = c.reduceTo(da, batchOf(c.shape(y), shapeA), a);
  }
  let db: string | undefined;
  if (c.needs(1)) {
    const plainMatrix = shapeB.length === 2 && shapeA.length > 2 && !transA;
    if (plainMatrix) {
      // dB = alpha * A^T dY over all rows at once, transposed if B is
      const rowsA = flatten(c, a, a);
      const rowsY = flatten(c, dy, y);
      db = transB
        ? fusedMatMul(c, rowsY, rowsA, { transA: true, transB: false, alpha })
        : fusedMatMul(c, rowsA, rowsY, { transA: true, transB: false, alpha });
    } else {
      // dB = alpha * op(A)^T dY, transposed if B is
      db = transB
        ? fusedMatMul(c, dy, a, { transA: true, transB: transA, alpha })
        : fusedMatMul(c, a, dy, { transA: !transA, transB: false, alpha });
      if (!sameBatch(shapeA, shapeB)) db = c.reduceTo(db, batchOf(c.shape(y), shapeB), b);
    }
  }
  if (da !== undefined && shapeA.length >= shapeB.length && !sameBatch(shapeA, shapeB) && shapeB.length > 2) {
    da = c.reduceTo(da, batchOf(c.shape(y), shapeA), a);
  }
  return [da, db];
}

const sameBatch = (a: readonly (number | null)[], b: readonly (number | null)[]): boolean =>
  a.length === b.length && a.slice(0, -2).every((dim, axis) => dim === b[axis]);

/** The batch axes of the output, then the matrix axes of the operand. */
const batchOf = (y: readonly (number | null)[], operand: readonly (number | null)[]): (number | null)[] => [
  ...y.slice(0, -2),
  ...operand.slice(-2),
];

export const productRules: RuleTable = {
  // Y = A B;   dA = dY B^T, dB = A^T dY
  MatMul: rule((c) => productGradients(c, { transA: false, transB: false, alpha: 1 })),
  // Y = alpha * op(A) op(B);   dA = alpha * dY op(B)^T, dB = alpha * op(A)^T dY, each transposed if its operand is
  [`${microsoft}.FusedMatMul`]: rule(
    (c) =>
      productGradients(c, {
        transA: numberAttribute(c.node, 'transA', 0) !== 0,
        transB: numberAttribute(c.node, 'transB', 0) !== 0,
        alpha: numberAttribute(c.node, 'alpha', 1),
      }),
    {
      attributes: ['transA', 'transB', 'alpha', 'transBatchA', 'transBatchB'],
      refuses: (node) => {
        const used = ['transBatchA', 'transBatchB'].find((name) => numberAttribute(node, name, 0) !== 0);
        return used === undefined ? undefined : `it uses ${used}`;
      },
    },
  ),
  // Y = alpha * op(A) op(B) + beta * C;   dA and dB as of FusedMatMul, dC = beta * dY
  Gemm: rule(
    (c) => {
      const [da, db] = productGradients(c, {
        transA: numberAttribute(c.node, 'transA', 0) !== 0,
        transB: numberAttribute(c.node, 'transB', 0) !== 0,
        alpha: numberAttribute(c.node, 'alpha', 1),
      });
      if (!c.needs(2)) return [da, db];
      const beta = numberAttribute(c.node, 'beta', 1);
      const dy = outputGradient(c);
      const scaled = beta === 1 ? dy : emit(c, 'Mul', [dy, c.graph.float(beta)]);
      return [da, db, c.reduceTo(scaled, c.shape(c.node.outputs[0] as string), c.node.inputs[2] as string)];
    },
    { attributes: ['transA', 'transB', 'alpha', 'beta'] },
  ),
};
