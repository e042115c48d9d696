"""VideoLLaMA3 (arXiv 2501.13106): SigLIP-NaViT, a two-layer MLP, Qwen2.5."""
