"""The model that the emulator plays: input in, a preview clip and its price out."""
