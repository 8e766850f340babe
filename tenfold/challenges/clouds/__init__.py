"""Understanding Clouds from Satellite Images: four kinds of cloud organisation.

Kaggle, 2019; the published system is the third place. The mean Dice over all pairs
of image and class decides, where right silence counts as much as a perfect shape.
"""
