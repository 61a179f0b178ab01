"""OpenDocument, the format of ODT and ODP, as text."""
