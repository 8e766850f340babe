"""The four classes in the competition's order, and its two picture sizes."""

CLASSES = ("Fish", "Flower", "Gravel", "Sugar")

#: Height and width of every picture, px.
SOURCE = (1400, 2100)

#: Height and width of the masks that are submitted and scored, px.
SUBMITTED = (350, 525)

#: Pictures of glare or hardly anything but black, as the list that went round among
#: the competition's participants has them; the tenth and thirteenth place removed
#: about as many.
BAD_IMAGES = (
    "046586a",
    "1588d4c",
    "1e40a05",
    "41f92e5",
    "449b792",
    "563fc48",
    "8bd81ce",
    "b092cc1",
    "c0306e5",
    "c26c635",
    "e04fea3",
    "e5f2f24",
    "eda52f2",
    "fa645da",
)
