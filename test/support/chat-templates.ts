/**
 * Chat templates in the four styles that most models use, with their special tokens and the expected rendering of a
 * conversation. They were written for these tests after the published formats, in which white space matters.
 */

export interface TemplateStyle {
  readonly name: string;
  readonly template: string;
  /** The special tokens of the tokenizer. */
  readonly special: readonly string[];
  readonly bos?: string;
  readonly eos: string;
  /** The rendering of system S, user U, assistant A, user V; `null` if the style refuses it. */
  readonly withSystem: string | null;
  /** The rendering of user U, assistant A, user V. */
  readonly conversation: string;
  /** A part of the message that refuses two user messages in a row; `null` if they are accepted. */
  readonly refusesTwoUsers: string | null;
}

const alternate =
  "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}";

export const templateStyles: readonly TemplateStyle[] = [
  {
    name: 'ChatML',
    template:
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    special: ['<|im_start|>', '<|im_end|>'],
    eos: '<|im_end|>',
    withSystem:
      '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n',
    conversation:
      '<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n',
    refusesTwoUsers: null,
  },
  {
    name: 'Llama 3',
    template:
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    special: ['<|begin_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
    bos: '<|begin_of_text|>',
    eos: '<|eot_id|>',
    withSystem:
      '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    conversation:
      '<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    refusesTwoUsers: null,
  },
  {
    name: 'Mistral',
    template: `{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}{{- bos_token }}{%- for message in loop_messages %}${alternate}{%- if message['role'] == 'user' %}{%- if loop.first and system_message is defined %}{{- '[INST] ' + system_message + '\n\n' + message['content'] + ' [/INST]' }}{%- else %}{{- '[INST] ' + message['content'] + ' [/INST]' }}{%- endif %}{%- else %}{{- ' ' + message['content'] + eos_token }}{%- endif %}{%- endfor %}`,
    special: ['<s>', '</s>', '[INST]', '[/INST]'],
    bos: '<s>',
    eos: '</s>',
    withSystem: '<s>[INST] S\n\nU [/INST] A</s>[INST] V [/INST]',
    conversation: '<s>[INST] U [/INST] A</s>[INST] V [/INST]',
    refusesTwoUsers: 'must alternate',
  },
  {
    name: 'Gemma',
    template: `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}${alternate}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}`,
    special: ['<bos>', '<eos>', '<start_of_turn>', '<end_of_turn>'],
    bos: '<bos>',
    eos: '<eos>',
    withSystem: null,
    conversation:
      '<bos><start_of_turn>user\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n',
    refusesTwoUsers: 'must alternate',
  },
];
