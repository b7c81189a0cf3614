/** English text on various topics, so that words from outside the synthetic world do not become single bytes. */
export const generalEnglish = `
The morning was cold and clear, and the river looked like a long piece of glass between the hills. People came down from
the village with baskets of bread, apples and cheese, and the children ran ahead to see the boats. Nobody knew who had
built the old stone bridge, but everyone used it, and every spring someone repaired a part of it without being asked.

How does a small computer learn? It reads many examples, makes a guess, looks at the difference between the guess and the
right answer, and changes its numbers a little. After thousands of steps the guesses become better. There is no magic in
it, only patience, arithmetic and good data. What matters most is whether the examples show what people really need.

Water boils when it is hot enough, and the number depends on how high you live. On top of a mountain the air is thin, so
potatoes take longer to cook. If you want soft vegetables up there, use a heavy pot with a lid. Salt, oil, pepper, garlic
and a little lemon will do the rest. Serve it with rice or fresh bread, and keep some for tomorrow.

The train leaves at 7:45 and arrives at 10:30. Tickets are cheaper before nine o'clock, but the seats by the window are
often gone. You can also take the bus, which needs an hour more and stops in every town along the coast. Please write to
us at least 24 hours before, and don't forget your name, address and telephone number. We'll answer as soon as we can.

Dear team, thank you for the report from Monday. I've read the first part and I think that it's very good; the second
part isn't finished yet, is it? Could you check the figures for 2019, 2020 and 2021 once more? They're different from
those in the table. If you've any questions, call me on Tuesday or Wednesday. Best wishes, and see you in June.

"Why should we wait?" asked the captain. "Because the wind will change," said the engineer, "and then we can save half of
the fuel." He was right: before midnight the wind turned north, and the ship reached the harbor without any trouble. They
laughed about it later, (as people do), and told the story again: shorter each time, with bigger waves & darker clouds.

A garden needs light, water, good soil and time. Start with simple plants, such as beans, onions or sunflowers. Watch how
they grow, what they like, where the shadow falls in the afternoon. Some years are dry, others wet; some flowers die,
others return stronger. That's not a failure: it's how gardeners learn what works in exactly this place.

In 1969 two people walked on the moon while millions listened on the radio or watched television. The machine that brought
them there had less memory than a cheap watch has today, and yet its program was careful: when there was too much work, it
dropped the unimportant tasks, kept the important ones and went on. Good systems fail small, explain what happened and
continue. Would you like to know more? Visit the science library, open from 8 to 20, free for students under 18.
`;
