"""What a photo shows, in coarse tags: from pixels and from words (the semantic guidance of arXiv 2601.06525)."""
