"""L-SSAT: one encoder trained on a face task and, at the same time, to rebuild a texture map of the face from a masked
view.
"""
