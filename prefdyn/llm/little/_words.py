"""Words and templates of the grammar; where no frequency is given, the first are the commonest."""

PEOPLE = (
    ("Tom", "boy"),
    ("Anna", "girl"),
    ("Ben", "boy"),
    ("Lily", "girl"),
    ("Max", "boy"),
    ("Mia", "girl"),
    ("Sam", "boy"),
    ("Sue", "girl"),
    ("Leo", "boy"),
    ("Zoe", "girl"),
)

PLACES = (
    ("park", "in the park"),
    ("garden", "in the garden"),
    ("beach", "on the beach"),
    ("forest", "in the forest"),
    ("school", "at school"),
    ("farm", "on the farm"),
    ("river", "by the river"),
    ("shop", "in the shop"),
)

THINGS = ("ball", "toy", "book", "hat", "boat", "kite", "doll", "car", "box", "cup")
PETS = ("dog", "cat", "bird", "rabbit", "duck", "frog", "horse")
FOODS = ("cake", "apples", "milk", "bread", "honey", "soup", "lemons", "ice cream")
COLOURS = ("red", "blue", "green", "yellow", "white", "black")

OPPOSITES = {
    "hot": "cold",
    "big": "small",
    "happy": "sad",
    "good": "bad",
    "fast": "slow",
    "hard": "soft",
    "light": "heavy",
    "loud": "quiet",
    "wet": "dry",
    "bright": "dark",
    "sweet": "sour",
    "high": "low",
    "old": "young",
    "clean": "dirty",
}
OPPOSITES |= {other: one for one, other in OPPOSITES.items()}

SYNONYMS = {
    "big": "large",
    "small": "little",
    "happy": "glad",
    "fast": "quick",
    "sad": "unhappy",
    "good": "nice",
    "quiet": "silent",
    "bright": "shiny",
    "loud": "noisy",
    "cold": "icy",
}

QUALITIES = {
    "ice": ("cold", "hard", "wet"),
    "the sun": ("hot", "bright", "big", "old"),
    "fire": ("hot", "bright"),
    "snow": ("cold", "soft", "wet"),
    "a mouse": ("small", "quiet", "fast", "light"),
    "an elephant": ("big", "heavy", "slow"),
    "a snail": ("slow", "small", "quiet"),
    "a rock": ("hard", "heavy", "old"),
    "a feather": ("light", "soft"),
    "honey": ("sweet", "slow"),
    "lemons": ("sour",),
    "water": ("wet", "clean"),
    "sand": ("dry", "hot"),
    "the night": ("dark", "quiet", "cold"),
    "a lion": ("loud", "big", "fast"),
    "mud": ("dirty", "wet", "soft"),
    "the sky": ("high", "bright"),
    "babies": ("young", "small", "loud"),
    "a pillow": ("soft", "light", "dry"),
    "a drum": ("loud", "big"),
}
PLURALS = ("lemons", "babies")

VERBS = ("fly", "swim", "run", "jump", "sing", "talk", "read")
ABILITIES = {
    "a bird": ("fly", "sing"),
    "a fish": ("swim",),
    "a dog": ("run", "swim", "jump"),
    "a cat": ("run", "jump"),
    "a frog": ("jump", "swim"),
    "a horse": ("run", "jump"),
    "a duck": ("swim", "fly"),
    "a child": ("run", "talk", "sing", "jump", "read"),
    "a bee": ("fly",),
    "a rabbit": ("run", "jump"),
}

TEMPLATES = {
    "story": (
        "[open] [went] [find] [glad]",
        "[open] [play] [glad]",
        "[open] [lose] [search]",
        "[open] [weather]",
        "[went] [ask]",
        "[open] [eat]",
        "[open] [went] [fear]",
        "[went] [meet] [glad] [home]",
        "[open] [lose] [search] [home]",
        "[open] [went] [find] [share]",
        "[open] [ask]",
        "[went] [weather] [home]",
    ),
    "open": (
        "Once upon a time, there was a little {kind} named {hero}.",
        "Once upon a time, there was a [feeling] {kind} named {hero}.",
        "{hero} was a [feeling] {kind}. {He} had a {size} {pet}.",
        "One day, {hero} was {at}.",
        "{hero} had a {size} {colour} {thing}. {He} liked it [much].",
        "Once upon a time, {hero} and {friend} were {at}.",
        "{hero} and {friend} were good friends.",
        "It was a [feeling] day. {hero} was {at} with {his} {family}.",
        "Once there was a {size} {pet}. It lived {at} with a {kind} named {hero}.",
    ),
    "feeling": ("happy", "good", "kind", "sad", "quiet", "young", "nice"),
    "much": ("very much", "a lot", "so much"),
    "very": ("very", "so", "really", "not"),
    "went": (
        "One day, {hero} went to the {place}.",
        "{hero} went to the {place} with {his} {pet}.",
        "{hero} went to the {place} to [do].",
        "{hero} and {friend} went to the {place}.",
        "{hero} ran to the {place} because {he} wanted to [do].",
        "{hero} walked to the {place} with {his} {family}.",
    ),
    "do": ("play", "swim", "run", "read", "sing", "find a {thing}", "see the {pet}", "eat {food}"),
    "find": (
        "{He} saw a {size} {colour} {thing}.",
        "{He} found a {thing} {at}.",
        "There was a {size} {pet} {at}. It was [very] [quality].",
        "{He} found a {colour} {thing} and picked it up.",
        "{He} looked up and saw a {size} {pet}.",
    ),
    "quality": ("big", "small", "fast", "soft", "loud", "wet", "old", "dirty", "quiet"),
    "play": (
        "{He} played with {his} {pet} {at}.",
        "They played with the {colour} {thing} all day.",
        "{hero} and {friend} ran and jumped {at}.",
        "{He} liked to [do] with {friend}.",
        "They wanted to [do], so they went to the {place}.",
    ),
    "glad": (
        "{He} was very happy.",
        "{hero} was happy and [laughed].",
        "They were happy.",
        '"I like it," said {hero}.',
        '"Thank you," said {hero}. {He} was glad.',
        "{hero} [laughed] because the {thing} was so [quality].",
        "{His} {family} was glad, too.",
    ),
    "laughed": ("smiled", "laughed", "jumped", "sang a song"),
    "lose": (
        "But one day, {he} lost {his} {thing}.",
        "But the {thing} was gone. {hero} was sad.",
        "Then {his} {pet} ran away. {hero} was very sad.",
        "The {thing} fell into the river.",
    ),
    "search": (
        "{He} looked {at}, and there it was! {hero} was happy again.",
        "{He} looked and looked, but {he} did not find it. {He} was sad.",
        "{friend} came to help {him}. They found it {at}.",
        '"Can you help me?" asked {hero}. "[willing]," said {friend}. They found it.',
        "{His} {family} gave {him} a new one. {hero} [laughed].",
    ),
    "willing": ("Sure", "Yes", "Certainly"),
    "weather": (
        "It was cold and it started to snow. {hero} put on {his} hat and went out to [do].",
        "It started to rain, so {hero} got wet. {He} was [very] happy.",
        "The sun was hot and bright. {hero} wanted to [do].",
        "It was dark, and {he} wanted to go home.",
        "The rain was loud. {hero} was sad because {he} wanted to [do].",
    ),
    "ask": (
        '"Can we [do]?" asked {hero}. "[yes]," said {his} {family}. {hero} was happy.',
        '"Can I [do]?" asked {hero}. "[no]," said {his} {family}. {hero} was sad.',
        '"Do you want to [do]?" asked {friend}. "[yes]," said {hero}. They had fun.',
        '"Do you want to [do]?" asked {friend}. "[no]," said {hero}. {friend} was sad.',
        '"Can I have the {thing}?" asked {friend}. "[unsure]," said {hero}.',
    ),
    "yes": ("Yes", "Sure", "Yeah", "Certainly"),
    "no": ("No", "Never", "Nope"),
    "unsure": ("Maybe", "Perhaps"),
    "eat": (
        "{He} was hungry and wanted to eat {food}. {His} {family} made some.",
        "{He} liked {food}, but {friend} did not like it.",
        "{hero} ate too much {food}. {He} felt bad.",
        "{hero} gave {friend} some {food}. {friend} was happy.",
    ),
    "fear": (
        "It was dark {at}. {hero} was scared and ran home.",
        "{He} saw a big {pet}. {He} was scared, but the {pet} was kind.",
        "There was a loud noise. {hero} was scared. It was only a {pet}!",
    ),
    "meet": (
        "{He} met {friend} {at}.",
        "{He} met a {size} {pet}. It wanted to [do].",
        '{He} saw {friend}. "Hello," said {friend}.',
    ),
    "share": (
        "{He} gave it to {friend}. {friend} was very happy.",
        "{He} took it home and showed it to {his} {family}.",
        '{friend} wanted the {thing}, too. "We can share," said {hero}.',
    ),
    "home": (
        "Then {he} went home.",
        "They went home and ate {food}.",
        "Then it was time to go home. {hero} was [very] happy.",
        "At home, {his} {family} gave {him} some {food}.",
    ),
    "please": (
        "Can you help me?",
        "Can I have the {thing}?",
        "Can we play?",
        "Will you give me a {thing}?",
        "Can you read a book to me?",
        "Will you come with me?",
        "Do you want to play with the {thing}?",
    ),
}
