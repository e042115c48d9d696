"""Video-LLaVA (arXiv 2311.10122): LanguageBind's towers, one projector for all of them, Vicuna."""
