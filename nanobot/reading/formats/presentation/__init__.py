"""PresentationML, the format of PPTX, as text."""
