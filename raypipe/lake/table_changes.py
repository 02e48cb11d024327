"""How the rows that a table has change: merge, delete, update, overwrite of some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.lake.change import filtered
from raypipe.lake.change.ask import MergeAsk
from raypipe.lake.change.merge import merge
from raypipe.lake.table_writes import TableWrites
from raypipe.lake.write.ask import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from raypipe.engine.parts import RunOn
    from raypipe.lake.change.ask import How, Matched, NotMatched
    from raypipe.lake.outcome import Commit
    from raypipe.lake.write.fused import Transform


class TableChanges(TableWrites):
    """The methods that change rows which are there.

    Each is one atomic commit. Only files that hold such rows are written anew, and their rows keep
    their order (but where a column changes that the table is sorted by). If another writer changes
    the same rows meanwhile, or adds rows that the call would have had to look at, it is decided
    again on the table as it then is; so of two calls the outcome is that of one after the other.
    """

    def merge(
        self,
        data: object,
        on: str | Sequence[str],
        *,
        when_matched: Matched = "update",
        when_not_matched: NotMatched = "insert",
        newer_by: str | None = None,
        delete_when: pl.Expr | None = None,
        update: Sequence[str] | None = None,
        batch_id: str | None = None,
        run_on: RunOn = "auto",
        how: How = "auto",
        metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Brings rows to a table by their keys: rows it has change or go, others are added.

        The source rows are judged and masked as those of ``append`` are, and held in memory; the
        table is not. With a ``batch_id`` the merge happens once, however often this is called.
        A merge that changes nothing makes no commit, unless it has a ``batch_id`` to keep.

        Args:
            data: what ``append`` takes. Without ``when_not_matched="insert"`` the columns that are
                used are enough. With ``evolve="add"`` new columns join the table in the same
                commit, if rows of the merge have them (not those that only ``delete_when`` reads);
                the table's own columns must all be there.
            on: the key columns: no reals and no nested ones, and no null in them. Keys need not be
                unique in the table; in the source they must, but for ``newer_by``.
            when_matched: ``"update"``, ``"delete"`` or ``"ignore"`` rows of the table whose key the
                source has.
            when_not_matched: ``"insert"`` or ``"ignore"`` source rows whose key the table lacks.
            newer_by: a sequence column. A source row counts only if its sequence is greater than
                that of the table's row (a null there is older than all), and of several source
                rows of one key only the newest does.
            delete_when: true for source rows that are tombstones: the table's row goes (if
                ``newer_by`` allows), and a key that the table lacks stays unknown. It may use
                columns that the table does not have. Expectations are not asked of tombstones.
            update: the columns that an update sets, by default all; ``newer_by`` always is one.
            batch_id: names the batch.
            run_on: ``"local"``, ``"ray"``, or ``"auto"`` by size.
            how: ``"rewrite"`` finds the files by statistics and keys and rewrites them in parts,
                ``"deltalake"`` leaves it to Delta's own library, which does not keep the rows'
                order. ``"auto"`` rewrites: measured with 1,000 and 10,000 source rows that takes
                0.6 times as much CPU into a table of 100,000 rows or more, where all rows are new
                half as much, and about as much into one of 10,000. What was done is in
                ``Commit.how``.
            metadata: JSON to keep with the commit.

        Raises:
            ExpectationError: source rows broke an expectation with ``on_fail="fail"``, have no
                value in a key or sequence column, or are several of one key.
            SchemaError: a column is missing, not known, or cannot be a key or a sequence.
            ConfigError: an argument is not usable, the table may only be appended to, or rows are
                to be unique by columns that a merge on these keys may make the same.
            CommitConflictError: others changed the same rows many times meanwhile.
            SourceError, LakeAccessError: as for ``append``.
        """
        ask = Ask.of("merge", batch_id, None, True, run_on, metadata)
        asked = MergeAsk.of(on, when_matched, when_not_matched, newer_by, delete_when, update, how)
        return merge(self._lake, self._writer(), data, ask, asked)

    def delete(
        self,
        where: pl.Expr,
        *,
        batch_id: str | None = None,
        run_on: RunOn = "auto",
        metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Removes the rows for which an expression is true, in one commit.

        A file of which the log tells that all its rows go is not read. When no row matches, no
        commit is made, unless there is a ``batch_id`` to keep. Older versions keep the rows.

        Args:
            where: a row-wise expression; where it is null the row stays.
            batch_id: names the batch, which then happens once.
            run_on: ``"local"``, ``"ray"``, or ``"auto"`` by size.
            metadata: JSON to keep with the commit.

        Raises:
            TableNotFoundError: nothing has been written yet.
            ConfigError: ``where`` is not row-wise, or the table may only be appended to.
            SchemaError: ``where`` does not fit the table.
            CommitConflictError: others changed the same rows many times meanwhile.
        """
        ask = Ask.of("delete", batch_id, None, True, run_on, metadata)
        return filtered.edit(self._lake, self._writer(), ask, where, None)

    def update(
        self,
        where: pl.Expr,
        set: Mapping[str, Any],  # noqa: A002 - SQL's word
        *,
        batch_id: str | None = None,
        run_on: RunOn = "auto",
        metadata: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Sets columns of the rows for which an expression is true, in one commit.

        When no row matches, no commit is made, unless there is a ``batch_id`` to keep.

        Args:
            where: a row-wise expression; where it is null the row stays as it is.
            set: a row-wise expression of the row as it was, or a plain value, for each column.
                Generated columns follow those that are set.
            batch_id: names the batch, which then happens once.
            run_on: ``"local"``, ``"ray"``, or ``"auto"`` by size.
            metadata: JSON to keep with the commit.

        Raises:
            TableNotFoundError: nothing has been written yet.
            ConfigError: an expression is not row-wise, a column is masked or in an expectation
                about keys, or the table may only be appended to.
            SchemaError: a column is not there, or a value does not fit its type.
            ExpectationError: a changed row breaks an expectation of the table (any but one with
                ``on_fail="warn"``).
            CommitConflictError: others changed the same rows many times meanwhile.
        """
        ask = Ask.of("update", batch_id, None, True, run_on, metadata)
        return filtered.edit(self._lake, self._writer(), ask, where, set)

    def overwrite(
        self,
        data: object,
        *,
        where: pl.Expr | None = None,
        batch_id: str | None = None,
        if_version: int | None = None,
        allow_empty: bool = False,
        run_on: RunOn = "auto",
        metadata: Mapping[str, Any] | None = None,
        transform: Transform | None = None,
    ) -> Commit:
        """Puts rows in the place of all rows that the table has when it commits, or of some.

        Older versions stay readable. Unique keys are judged beside the rows that stay, again if a
        rival adds rows meanwhile. Arguments, guarantees and errors are those of ``append``, and:

        Args:
            data: as for ``append``.
            where: replaces only the rows for which it is true; every new row must pass it. Files
                that the log tells to hold only such rows, a partition for example, are not read.
            batch_id: as for ``append``.
            if_version: as for ``append``.
            allow_empty: as for ``append``; with ``where`` this deletes.
            run_on: as for ``append``.
            metadata: as for ``append``.
            transform: as for ``append``.

        Raises:
            ExpectationError: a new row does not pass ``where``, or breaks an expectation.
            TableNotFoundError: there is a ``where`` and no table.
        """
        if where is None:
            return super().overwrite(
                data,
                batch_id=batch_id,
                if_version=if_version,
                allow_empty=allow_empty,
                run_on=run_on,
                metadata=metadata,
                transform=transform,
            )
        ask = Ask.of("overwrite", batch_id, if_version, allow_empty, run_on, metadata, transform)
        return filtered.overwrite(self._lake, self._writer(), data, ask, where)
