"""Kelp Wanted: kelp canopy in Landsat tiles of the Falkland Islands.

DrivenData, 2023-24; the published system is the second place. One global Dice
over all test pixels decides.
"""
