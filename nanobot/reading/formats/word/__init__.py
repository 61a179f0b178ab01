"""WordprocessingML, the format of DOCX, as text."""
