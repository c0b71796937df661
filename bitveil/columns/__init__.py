"""Columns: from the values in a person's table to numbers.

`table` takes a table of any library and refuses what an encoder cannot hold, and `files` reads one
from a file. `kinds` learns what each column holds, `reading` reads columns of that kind, and
`cells` reads single values. `names` checks the names of rows and columns. `labels` numbers the
values of a column, `bins` cuts numbers at quantiles, `groups` does both for a sensitive attribute,
and `targets` for a target. `contents` numbers the columns of a whole table. `attribute` holds a
wish for the groups of a fit, and `rare` joins rare ones. `values` writes the names of groups and
classes as JSON, and `printing` makes text from the data safe to show.
"""
