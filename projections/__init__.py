"""What an event means for each table. Pure: event in, row changes out.

What an own projection of an embedding service is written with; ours are written with the same.
"""

from ..domain.messages import Recorded
from ..domain.name_ids import uuid5
from .migration import Migration
from .parking import Reference, with_parking
from .projection import Change, Delete, Handler, Insert, Kind, Operation, Projection, Row, Rows, Table, Update

__all__ = [
    "Change",
    "Delete",
    "Handler",
    "Insert",
    "Kind",
    "Migration",
    "Operation",
    "Projection",
    "Recorded",
    "Reference",
    "Row",
    "Rows",
    "Table",
    "Update",
    "uuid5",
    "with_parking",
]
