"""The seven bands of a tile, in file order, and what their values mean.

Read from the competition's tiles by the published systems: int32, not int16,
since spectral values reach 65535 while -32768 marks what is missing.
"""

SIZE = 350
SPECTRAL = ("SWIR", "NIR", "R", "G", "B")
BANDS = (*SPECTRAL, "QA", "DEM")
BAND_INDEX = {name: position for position, name in enumerate(BANDS)}

#: No data, in any band. The DEM reaches only a few hundred metres offshore.
MISSING = -32768
#: Spectral values are Landsat Collection 2 surface-reflectance numbers.
SPECTRAL_MAX = 65535
#: The DEM is in whole metres above the sea; 706 is the highest there is, and
#: anything that fits here survives packing.
DEM_RANGE = (-32767, 32767)
PIXEL_M = 30
