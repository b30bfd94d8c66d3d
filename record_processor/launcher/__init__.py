"""Starts, watches and stops the Java daemon. Used by the command `run`; owns the signals; runs no user code.

run (the recipe) → settings · java · preflight · identity · supervisor → daemon → tether → java.
Everything that is said on the way goes through logs.
"""
