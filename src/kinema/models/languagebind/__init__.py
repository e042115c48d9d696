"""LanguageBind (arXiv 2310.01852): images, video, sound, depth and heat in the space of one text tower."""
