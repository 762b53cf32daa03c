"""What a photo shows, in coarse tags: from the photo and from words, after GLOWDeblur's semantic guidance (2601.06525)."""
