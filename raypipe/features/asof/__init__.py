"""The point-in-time join: who asks, what each table knows, and the search between them.

Rows that ask are put in the order of key and time once. Every feature row then looks for the first
row that may know it, which needs no order of the features and no table in memory as a whole: what
each part of a table finds is small and merges, so a key with most of the rows is cut like any
other.
"""
