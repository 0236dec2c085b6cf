"""Why the model said what it said: shares of the modalities, words, patches and moments."""
