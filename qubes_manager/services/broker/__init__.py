"""The program that carries what crosses between domains."""
