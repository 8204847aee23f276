//! SQL that differs between the two engines.

/// An engine's SQL.
#[derive(Clone, Copy)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

use Dialect::{Postgres, Sqlite};

impl Dialect {
    pub(super) fn from_url(url: &str) -> Self {
        if url.starts_with("sqlite") { Sqlite } else { Postgres }
    }

    /// Statements before seeding: no durability, and enough memory for the indexes.
    pub(super) const fn before(self) -> &'static [&'static str] {
        match self {
            Sqlite => {
                &["pragma synchronous = off", "pragma cache_size = -1000000", "pragma temp_store = memory"]
            }
            Postgres => &["set synchronous_commit = off"],
        }
    }

    /// Statements that bring a database into the state of a long-running one: checkpointed and, on Postgres, vacuumed.
    pub(super) const fn settle(self) -> &'static [&'static str] {
        match self {
            Sqlite => &["pragma wal_checkpoint(truncate)"],
            Postgres => &["vacuum analyze", "checkpoint"],
        }
    }

    /// Queries for the size in bytes of the table of captured webhook bodies and of the whole database.
    pub(super) const fn sizes(self) -> (&'static str, &'static str) {
        match self {
            Sqlite => (
                "select cast(coalesce(sum(pgsize), 0) as text) from dbstat
                 where name in (select name from sqlite_master where tbl_name = 'event_payloads')",
                "select cast(sum(pgsize) as text) from dbstat",
            ),
            Postgres => (
                "select pg_total_relation_size('event_payloads')::text",
                "select sum(pg_total_relation_size(oid))::text from pg_class
                 where relkind = 'r' and relnamespace = 'public'::regnamespace",
            ),
        }
    }

    pub(super) const fn tables(self) -> &'static str {
        match self {
            Sqlite => {
                "select name from sqlite_master where type = 'table' and name not like 'sqlite%'
                 and name not like '\\_sqlx%' escape '\\' order by name"
            }
            Postgres => {
                "select table_name::text from information_schema.tables where table_schema = 'public'
                 and table_type = 'BASE TABLE' and table_name not like '\\_sqlx%' order by table_name"
            }
        }
    }

    /// Query for column names and types, without the columns that the engine fills itself.
    pub(super) fn columns(self, table: &str) -> String {
        match self {
            Sqlite => format!(
                "select name || ' ' || lower(type) from pragma_table_info('{table}')
                 where not (pk = 1 and lower(type) = 'integer'
                            and (select count(*) from pragma_table_info('{table}') where pk > 0) = 1)"
            ),
            Postgres => format!(
                "select column_name || ' ' || data_type from information_schema.columns
                 where table_schema = 'public' and table_name = '{table}' and is_identity = 'NO'
                 and is_generated = 'NEVER' and coalesce(column_default, '') not like 'nextval%'
                 order by ordinal_position"
            ),
        }
    }

    /// Expression for a column that may hold 16-byte ids, in hex; null where a row holds something else.
    pub(super) fn id_as_hex(self, column: &str, kind: &str) -> Option<String> {
        match (self, kind) {
            (Sqlite, "blob") => Some(format!(
                "case when typeof({column}) = 'blob' and length({column}) = 16 then lower(hex({column})) end"
            )),
            (Postgres, "uuid") => Some(format!("replace({column}::text, '-', '')")),
            (Postgres, "bytea") => {
                Some(format!("case when octet_length({column}) = 16 then encode({column}, 'hex') end"))
            }
            _ => None,
        }
    }

    pub(super) fn is_integer(self, kind: &str) -> bool {
        matches!(kind, "integer" | "bigint" | "int8" | "int" | "int4" | "numeric")
    }

    /// Creates the ids of `n` copies: `i`, and one column per new id. An id that starts with a timestamp keeps its
    /// prefix, followed by a counter; any other id is random or a hash.
    pub(super) fn ids(self, fresh: &[String], n: u64) -> String {
        let this_year =
            u64::from_str_radix("0190", 16).unwrap_or(0)..=u64::from_str_radix("01b0", 16).unwrap_or(0);
        let of = |(i, hex): (usize, &String)| {
            let head = u64::from_str_radix(hex.get(..4).unwrap_or_default(), 16).unwrap_or(0);
            let timed = this_year.contains(&head);
            let prefix = hex.get(..18).unwrap_or_default();
            match (self, timed) {
                (Sqlite, true) => format!("unhex('{prefix}' || printf('%02x%012x', {i}, i)) as v{i}"),
                (Sqlite, false) => format!("randomblob(16) as v{i}"),
                (Postgres, true) => format!(
                    "decode('{prefix}' || lpad(to_hex({i}), 2, '0') || lpad(to_hex(i), 12, '0'), 'hex') as v{i}"
                ),
                (Postgres, false) => format!("decode(md5(i::text || 'v{i}'), 'hex') as v{i}"),
            }
        };
        let columns: Vec<String> = fresh.iter().enumerate().map(of).collect();
        let columns = columns.join(", ");
        match self {
            Sqlite => format!(
                "create temp table n as with recursive c(i) as (select 1 union all select i + 1 from c where i < {n})
                 select i, {columns} from c"
            ),
            Postgres => format!("create temp table n as select i, {columns} from generate_series(1::bigint, {n}) i"),
        }
    }

    /// Expression for the new id that replaces the `i`th one.
    pub(super) fn id_of_copy(self, i: usize, kind: &str) -> String {
        match kind {
            "uuid" => format!("encode(n.v{i}, 'hex')::uuid"),
            _ => format!("n.v{i}"),
        }
    }
}
