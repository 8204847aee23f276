//! Bugs that are planted on purpose, at the edges of the program: in its SQL statements, its commits, its transport.
//!
//! Each disables one mechanism. The simulation must detect it.

/// A disabled mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// An intent is not on disk when its request is sent.
    SkipTheIntent,
    /// A request that times out or breaks is sent again, as many clients do automatically.
    RetryOnTimeout,
    /// A claim is valid although its fence has changed.
    IgnoreTheFence,
    /// A failed list counts as an empty one.
    FailingListIsEmpty,
    /// Absence is accepted immediately, although lists lag.
    NoSettleTime,
    /// A webhook is acknowledged but not committed.
    AcknowledgeBeforeCommit,
    /// The last attempt is not marked as final.
    ForgetTheFinalFlag,
    /// A call's events take effect every time they arrive.
    ActOnDuplicates,
    /// A request that may have been sent is simply sent again after a crash.
    RerunAfterCrash,
    /// A replica uses its own clock, which runs ahead.
    TrustOwnClock,
    /// A canceled callback is claimed like a waiting one.
    DialTheCanceled,
    /// Attempts are not counted.
    NeverSpend,
    /// Missed events are not backfilled.
    NeverSweep,
    /// Unknown outcomes are not reconciled.
    NeverAsk,
    /// An answer is recorded regardless of what has happened since.
    LateAnswerWins,
    /// A forced callback can be forced again.
    ForceTwice,
    /// Attempts are not counted, and the fuse counts nothing.
    NeverSpendNorFuse,
    /// Quiet hours are ignored.
    DialAtNight,
    /// Expiry is not recorded in the activity feed.
    ExpireSilently,
    /// A call without a reported outcome is never given up.
    WaitForSilentCalls,
    /// A listed call that hides its metadata counts as absent.
    HiddenMetadataIsAbsent,
    /// A partially read list counts as complete.
    HalfAListIsAll,
    /// A key that the provider refused pauses nothing.
    IgnoreARefusedKey,
    /// A rescheduled time counts as a named one.
    ReplannedIsNamed,
    /// Events are decided in one order across all workspaces, without round robin.
    FirstComeFirstServed,
}

impl Bug {
    pub(super) const ALL: &[Self] = &[
        Self::SkipTheIntent,
        Self::RetryOnTimeout,
        Self::IgnoreTheFence,
        Self::FailingListIsEmpty,
        Self::NoSettleTime,
        Self::AcknowledgeBeforeCommit,
        Self::ForgetTheFinalFlag,
        Self::ActOnDuplicates,
        Self::RerunAfterCrash,
        Self::TrustOwnClock,
        Self::DialTheCanceled,
        Self::NeverSpend,
        Self::NeverSweep,
        Self::NeverAsk,
        Self::LateAnswerWins,
        Self::ForceTwice,
        Self::NeverSpendNorFuse,
        Self::DialAtNight,
        Self::ExpireSilently,
        Self::WaitForSilentCalls,
        Self::HiddenMetadataIsAbsent,
        Self::HalfAListIsAll,
        Self::IgnoreARefusedKey,
        Self::ReplannedIsNamed,
        Self::FirstComeFirstServed,
    ];

    /// The first seed to search from, so that rare failures are found quickly.
    pub(super) const fn search_from(self) -> u64 {
        match self {
            Self::NoSettleTime => 580,
            Self::IgnoreTheFence => 170,
            Self::ForceTwice => 410,
            _ => 0,
        }
    }

    /// The replacements in SQL statements: the original text, and the new one.
    pub(super) const fn edits(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::IgnoreTheFence => &[
                ("and callbacks.fence = v.fence", "and v.fence = v.fence"),
                ("and (callbacks.state = 'dispatching') is true and callbacks.dispatch_id is null", ""),
                (
                    "and v.attempts_used = (select attempts_used",
                    "and v.attempts_used <= (select attempts_used",
                ),
            ],
            Self::NoSettleTime => &[
                (
                    "next_lookup_at = $3, in_flight_until = $3, updated_at = $3",
                    "next_lookup_at = $3, in_flight_until = $3 - 7200000, updated_at = $3",
                ),
                (
                    "next_lookup_at = $3, in_flight_until = $4, updated_at = $3",
                    "next_lookup_at = $3, in_flight_until = $4 - 7200000, updated_at = $3",
                ),
                (
                    "set next_lookup_at = $3, first_absent_at = $4,",
                    "set next_lookup_at = $5, first_absent_at = $4 - 7200000 + ($3 - $3),",
                ),
            ],
            Self::ActOnDuplicates => &[
                (
                    "c.settled, c.analyzed, c.retry_id, c.check_at",
                    "c.settled and false as settled, c.analyzed and false as analyzed, null as retry_id, c.check_at",
                ),
                (
                    "coalesce(call_id, ''), dedup_key) do nothing returning id",
                    "coalesce(call_id, ''), dedup_key) do update set state = 'pending' returning id",
                ),
            ],
            Self::RerunAfterCrash => &[
                (
                    "set state = 'unconfirmed', lease_until = null, updated_at = v.now,",
                    "set state = 'scheduled', dispatch_id = null, lease_until = null, updated_at = v.now,",
                ),
                (
                    "set state = 'unknown', next_lookup_at = $3, in_flight_until = $4, updated_at = $3",
                    "set state = 'refused', in_flight_until = $4, updated_at = $3",
                ),
            ],
            Self::DialTheCanceled => &[
                (
                    "and (callbacks.state = 'scheduled') is true and callbacks.due_at <= v.now",
                    "and callbacks.state in ('scheduled', 'canceled') and callbacks.due_at <= v.now",
                ),
                (
                    "and c.state = 'scheduled' and c.due_at <= $3 order by",
                    "and c.state in ('scheduled', 'canceled') and c.due_at <= $3 order by",
                ),
                (
                    "and is_test = $2 and state = 'scheduled' and due_at <= $3",
                    "and is_test = $2 and state in ('scheduled', 'canceled') and due_at <= $3",
                ),
            ],
            Self::NeverSpend => &[(
                "set attempts_used = chains.attempts_used + v.n",
                "set attempts_used = chains.attempts_used + 0 * v.n",
            )],
            Self::ForceTwice => &[("and state = 'failed' and superseded_by is null", "and state = 'failed'")],
            Self::NeverSpendNorFuse => &[
                (
                    "set attempts_used = chains.attempts_used + v.n",
                    "set attempts_used = chains.attempts_used + 0 * v.n",
                ),
                (
                    "and d.phone_hash = v.phone_hash and d.sent_at > v",
                    "and d.phone_hash = v.phone_hash and d.lookups < 0 * v",
                ),
            ],
            Self::DialAtNight => &[(
                "webhook_keys, defaults, retention, paused",
                "webhook_keys, '{\"quiet_hours\":null}' as defaults, retention, paused",
            )],
            Self::ExpireSilently => &[(
                "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
                "select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 where $7 <> 'expired' on conflict do nothing",
            )],
            Self::WaitForSilentCalls => &[(
                "result = 'outcome_unknown', updated_at = $3",
                "updated_at = $3 where 1 = 0 and id = $2 and bucket = $1 --",
            )],
            Self::IgnoreARefusedKey => &[("where id = $1 and paused is null", "where id = $1 and 1 = 0")],
            Self::ReplannedIsNamed => &[(
                "callbacks.requested_for, callbacks.forced",
                "callbacks.scheduled_for as requested_for, true as forced",
            )],
            Self::FirstComeFirstServed => &[(
                "workspace_id > $1 order by workspace_id, try_at limit 1",
                "workspace_id > $1 order by workspace_id desc, try_at limit 1",
            )],
            Self::LateAnswerWins => &[
                (" and dispatches.state in ('intent', 'unknown')", ""),
                (" and callbacks.state in ('dispatching', 'unconfirmed')", ""),
            ],
            _ => &[],
        }
    }
}
