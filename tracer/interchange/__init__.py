"""Graphs in the formats of other programs. Their files are anybody's: reading one runs nothing and believes nothing."""
