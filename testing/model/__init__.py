"""The rules of the domain as an independent model, and a machine that holds a store against it."""
