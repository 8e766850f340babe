"""The KFP face of the stages, one file a stage."""
