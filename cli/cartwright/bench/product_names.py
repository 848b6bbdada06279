"""Names for the goods of the bench's shop, alike enough for a search to find many, and what people search for."""

ADJECTIVES = (
    *("amber", "blue", "compact", "double", "folding", "green", "heavy", "ivory", "large", "light"),
    *("matte", "narrow", "oak", "portable", "quiet", "round", "silver", "solid", "tall", "wireless"),
)
NOUNS = (
    *("armchair", "backpack", "basket", "blanket", "bookshelf", "bottle", "bowl", "cabinet", "camera", "candle"),
    *("clock", "cushion", "desk", "drawer", "fan", "fork", "frame", "glass", "hammer", "headset"),
    *("heater", "jacket", "kettle", "keyboard", "ladder", "lamp", "mirror", "monitor", "mug", "notebook"),
    *("oven", "pan", "pencil", "pillow", "plate", "printer", "radio", "rug", "scale", "scissors"),
    *("shelf", "sofa", "speaker", "stool", "table", "teapot", "toaster", "towel", "vase", "wallet"),
)


def name_of(number: int) -> str:
    return f"{ADJECTIVES[number % len(ADJECTIVES)]} {NOUNS[number // len(ADJECTIVES) % len(NOUNS)]} {number}"
