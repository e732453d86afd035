"""Twenty facts to plant in a text, each with the question it answers and the word that a right answer holds."""

QUESTIONS = [
    ("The clock in the hall was mended by a man called Ostrander.", "Who mended the clock in the hall?", "Ostrander"),
    ("The key to the boathouse hangs behind the blue plate.", "Behind which plate does the key to the boathouse hang? Name its colour.", "blue"),
    ("The parcel for the vicar weighed exactly seventeen pounds.", "How many pounds did the parcel for the vicar weigh?", "seventeen|17"),
    ("The new piano was built in the town of Leipzig.", "In which town was the new piano built?", "Leipzig"),
    ("The gardener keeps a tame magpie named Tobit.", "What is the name of the gardener's tame magpie?", "Tobit"),
    ("The coach to Bristol leaves from the Three Feathers inn.", "From which inn does the coach to Bristol leave?", "Three Feathers"),
    ("The doctor's favourite fruit is the quince.", "What is the doctor's favourite fruit?", "quince"),
    ("The bridge by the mill fell down in the year 1788.", "In which year did the bridge by the mill fall down?", "1788"),
    ("The schoolmaster hid his savings in a teapot.", "In what did the schoolmaster hide his savings?", "teapot"),
    ("The password of the little society was marmalade.", "What was the password of the little society?", "marmalade"),
    ("The tallest tree of the park is a cedar.", "Which kind of tree is the tallest of the park?", "cedar"),
    ("The painter's real name was Cornelius Vane.", "What was the painter's real name?", "Cornelius|Vane"),
    ("The cook was born on the island of Guernsey.", "On which island was the cook born?", "Guernsey"),
    ("The letter from the lawyer was sealed with green wax.", "What was the colour of the wax on the lawyer's letter?", "green"),
    ("The ferry across the river costs four pence.", "How many pence does the ferry across the river cost?", "four|4"),
    ("The old pony in the paddock is called Sultan.", "What is the old pony in the paddock called?", "Sultan"),
    ("The lost umbrella was found in the belfry.", "Where was the lost umbrella found?", "belfry"),
    ("The winner of the archery match was Miss Pelham.", "Who won the archery match?", "Pelham"),
    ("The innkeeper's daughter married a clockmaker.", "What was the trade of the man whom the innkeeper's daughter married?", "clockmaker|clock maker"),
    ("The treasure map was drawn on the back of a theatre bill.", "On the back of what was the treasure map drawn?", "theatre bill|theater bill|bill"),
]


def prompts(text, shortest=1500, longest=20000):
    """[(prompt, words of a right answer)]: passages of the text, longer and longer, each from another part
    of it and with its fact at another depth."""
    steps = len(QUESTIONS) - 1
    made = []
    for i, (fact, question, right) in enumerate(QUESTIONS):
        size = round(shortest * (longest / shortest) ** (i / steps))
        begin = text.find(". ", (len(text) - size - 4000) * i // len(QUESTIONS)) + 2
        passage = text[begin:begin + size]
        at = passage.find(". ", (i * 7 % len(QUESTIONS)) * (size - 400) // len(QUESTIONS)) + 2
        passage = passage[:at] + fact + " " + passage[at:]
        made.append((f"{passage}\n\nAnswer from the text above, in a few words: {question}", right.split("|")))
    return made
