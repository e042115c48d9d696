"""Complete training runs, one file a published system, and nano."""
