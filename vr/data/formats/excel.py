"""xlsx workbooks: the first sheet, whose first row names the columns."""

import lzma
import struct
import xml.etree.ElementTree
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import openpyxl
import pyarrow as pa
from openpyxl.utils.exceptions import InvalidFileException

from vr.core.errors import DataError
from vr.data.formats.pyvalues import array_of, type_of
from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.formats.textual import Typing
from vr.data.meter import check_columns

__all__ = ["ExcelReader"]

# A cell that shows an error holds no value.
_ERRORS = ("#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#GETTING_DATA")
_BLOCK_ROWS = 8192
_STEP_ROWS = 64  # of the largest width they take about a second
# What zipfile, its decompressors, the XML parser and openpyxl raise where something is not as it should be.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    xml.etree.ElementTree.ParseError,
    InvalidFileException,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,  # also of what a zip version cannot do, encryption, and nesting without end
    EOFError,
)


class ExcelReader:
    """One workbook; opening it makes one pass, which settles types and counts rows. Formulas give their last values."""

    def __init__(self, file: InputFile):
        self.file = file
        self.num_rows = 0
        blocks = self._blocks()
        with _opening(file.path):
            self.notes = self._sheet_notes()
            header = next(blocks, [()])[0]
        # Cells to the right of the last name hold layout, not data.
        width = max((i for i, name in enumerate(header, 1) if name is not None), default=0)
        if not width:
            raise DataError("has no rows", where=file.path, hint="the first row of the first sheet names the columns")
        check_columns(width, file.limits, file.path)
        names, notes = unique_names(["" if name is None else str(name) for name in header[:width]], file.path)
        typings = [Typing() for _ in names]
        with _opening(file.path):
            for rows in blocks:
                self.num_rows += len(rows)
                for typing, values in zip(typings, _columns(rows, width), strict=True):
                    type_, mixed = type_of(values)
                    typing.see(type_)
                    typing.mixed = typing.mixed or mixed
        self.schema = pa.schema([(name, typing.type) for name, typing in zip(names, typings, strict=True)])
        self.notes += notes
        self.notes += [note for name, typing in zip(names, typings, strict=True) for note in typing.note(name)]

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields the columns of `schema` as its types."""
        del batch_rows
        place = {name: i for i, name in enumerate(self.schema.names)}
        with _opening(self.file.path):
            blocks = self._blocks()
            next(blocks)  # the header
            for rows in blocks:
                columns = _columns(rows, len(self.schema))
                arrays = [array_of(columns[place[field.name]], field.type) for field in schema]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _blocks(self) -> Iterator[list[tuple]]:
        """Yields the header alone, then the rows in blocks; rows without any value are skipped."""
        with self.file.open() as stream:
            workbook = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            try:
                sheet = workbook.worksheets[0]
                # The size that a file declares may be wrong, and would cut it short.
                sheet.reset_dimensions()
                rows = sheet.iter_rows(values_only=True)
                full = self._stepping(row for row in rows if any(value is not None for value in row))
                yield from ([row] for row in islice(full, 1))
                while block := list(islice(full, _BLOCK_ROWS)):
                    yield block
            finally:
                workbook.close()

    def _stepping(self, rows: Iterator[tuple]) -> Iterator[tuple]:
        meter = self.file.meter()
        for number, row in enumerate(rows):
            if number % _STEP_ROWS == 0:
                meter.add(0)
            yield row

    def _sheet_notes(self) -> list[str]:
        with self.file.open() as stream:
            workbook = openpyxl.load_workbook(stream, read_only=True)
            names = workbook.sheetnames
            workbook.close()
        return [f"file {self.file.path}: only the first of {len(names)} sheets is read"] if len(names) > 1 else []


@contextmanager
def _opening(path: str) -> Iterator[None]:
    with reading(path):
        try:
            yield
        except _DAMAGE as err:
            if isinstance(err, DataError):
                raise
            raise DataError(
                f"is no workbook that can be read ({err})", where=path, hint="save it as xlsx or csv again"
            ) from err


def _columns(rows: list[tuple], width: int) -> list[list]:
    padded = (row[:width] + (None,) * (width - len(row)) for row in rows)
    return [[None if value in _ERRORS else value for value in column] for column in zip(*padded, strict=True)]
