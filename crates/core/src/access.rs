//! Principals, scopes of API keys, and roles of members.
//!
//! Invariant: a principal cannot grant scopes that it does not have ([`Scopes::covers`]).

use std::str::FromStr;

use crate::UnknownName;

use jiff::Timestamp;

use crate::{Id, id};

/// An authenticated API key or member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key or the member.
    pub who: Who,
    /// Its permissions.
    pub scopes: Scopes,
    /// The only workspace it may access; `None` for all of the tenant's.
    pub workspace: Option<Id<id::Workspace>>,
    /// When its access expires; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// The identity of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// An API key.
    Key(Id<id::Key>),
    /// A member.
    Member(Id<id::Member>),
}

impl Principal {
    /// A member: acts on the whole tenant, with the scopes of its role.
    pub fn of_member(member: Id<id::Member>, role: Role) -> Self {
        Self { who: Who::Member(member), scopes: role.scopes(), workspace: None, expires_at: None }
    }

    /// Whether it may see numbers, payloads and conversations in clear.
    pub const fn sees_personal_data(&self) -> bool {
        self.scopes.has(Scope::PiiRead)
    }

    /// The id that the audit log shows.
    pub fn name(&self) -> String {
        match self.who {
            Who::Key(id) => id.to_string(),
            Who::Member(id) => id.to_string(),
        }
    }
}

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read workspaces and their settings.
    WorkspacesRead,
    /// Connect, change, sync, delete and restore workspaces.
    WorkspacesWrite,
    /// Read agents and their webhook URLs.
    AgentsRead,
    /// Enable and disable agents, and change their settings.
    AgentsWrite,
    /// Read callbacks, and explanations of when they are dialed.
    CallbacksRead,
    /// Schedule, reschedule, cancel and force callbacks.
    CallbacksWrite,
    /// Read the do-not-call list.
    SuppressionsRead,
    /// Change the do-not-call list.
    SuppressionsWrite,
    /// Read the activity feed.
    ActivityRead,
    /// Read the audit log.
    AuditRead,
    /// Read quota and usage.
    UsageRead,
    /// Read API keys, never their secrets.
    KeysRead,
    /// Create and revoke API keys.
    KeysWrite,
    /// Read numbers in clear, and captured payloads.
    PiiRead,
    /// Read members.
    MembersRead,
    /// Add, change and remove members.
    MembersWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 16] = [
        Self::WorkspacesRead,
        Self::WorkspacesWrite,
        Self::AgentsRead,
        Self::AgentsWrite,
        Self::CallbacksRead,
        Self::CallbacksWrite,
        Self::SuppressionsRead,
        Self::SuppressionsWrite,
        Self::ActivityRead,
        Self::AuditRead,
        Self::UsageRead,
        Self::KeysRead,
        Self::KeysWrite,
        Self::PiiRead,
        Self::MembersRead,
        Self::MembersWrite,
    ];

    /// The scope's name in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkspacesRead => "workspaces:read",
            Self::WorkspacesWrite => "workspaces:write",
            Self::AgentsRead => "agents:read",
            Self::AgentsWrite => "agents:write",
            Self::CallbacksRead => "callbacks:read",
            Self::CallbacksWrite => "callbacks:write",
            Self::SuppressionsRead => "suppressions:read",
            Self::SuppressionsWrite => "suppressions:write",
            Self::ActivityRead => "activity:read",
            Self::AuditRead => "audit:read",
            Self::UsageRead => "usage:read",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::PiiRead => "pii:read",
            Self::MembersRead => "members:read",
            Self::MembersWrite => "members:write",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl FromStr for Scope {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|s| s.as_str() == name).ok_or(UnknownName)
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    /// Every scope, including ones added later.
    pub const EVERY: Self = Self(u32::MAX);

    /// A set of the given scopes.
    pub fn new(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, s| bits | s.bit()))
    }

    /// The default scopes of a key: all except personal data.
    pub const fn usual() -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < Scope::ALL.len() {
            bits |= Scope::ALL[i].bit();
            i += 1;
        }
        Self(bits & !Scope::PiiRead.bit())
    }

    /// The most that a key for test callbacks may have: scopes that cannot change live data.
    pub fn of_tests() -> Self {
        Self::new(&[
            Scope::WorkspacesRead,
            Scope::AgentsRead,
            Scope::CallbacksRead,
            Scope::CallbacksWrite,
            Scope::ActivityRead,
            Scope::UsageRead,
            Scope::PiiRead,
        ])
    }

    /// Whether the set contains this scope.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether the set contains all of the other's scopes.
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The intersection of both sets.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its scopes, in order.
    pub fn list(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |s| self.has(*s))
    }

    /// The stored form: names separated by spaces, `*` for every scope.
    pub fn text(self) -> String {
        if self == Self::EVERY {
            return "*".to_owned();
        }
        self.list().map(Scope::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Parses the stored form; unknown names grant nothing.
    pub fn from_text(text: &str) -> Self {
        if text == "*" {
            return Self::EVERY;
        }
        Self::new(&text.split(' ').filter_map(|scope| scope.parse().ok()).collect::<Vec<_>>())
    }
}

/// The role of a member in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything; a tenant always has an owner.
    Owner,
    /// Everything, except changing owners.
    Admin,
    /// Callbacks, agents and the do-not-call list; no keys and no accounts.
    Operator,
    /// Read-only, without personal data.
    Viewer,
}

impl Role {
    /// Every role, highest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Operator, Self::Viewer];

    /// The role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// The scopes of the role.
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Owner | Self::Admin => Scopes::EVERY,
            Self::Operator => Scopes::new(&[
                Scope::WorkspacesRead,
                Scope::AgentsRead,
                Scope::AgentsWrite,
                Scope::CallbacksRead,
                Scope::CallbacksWrite,
                Scope::SuppressionsRead,
                Scope::SuppressionsWrite,
                Scope::ActivityRead,
                Scope::UsageRead,
                Scope::PiiRead,
            ]),
            Self::Viewer => Scopes::new(&[
                Scope::WorkspacesRead,
                Scope::AgentsRead,
                Scope::CallbacksRead,
                Scope::SuppressionsRead,
                Scope::ActivityRead,
                Scope::UsageRead,
            ]),
        }
    }
}

impl FromStr for Role {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|r| r.as_str() == name).ok_or(UnknownName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_of_the_whole_tenant_and_may_what_the_role_may() {
        let id = Id::from_uuid(uuid::Uuid::from_u128(7));
        let viewer = Principal::of_member(id, Role::Viewer);
        assert_eq!((viewer.workspace, viewer.expires_at), (None, None));
        assert_eq!((viewer.scopes, viewer.name()), (Role::Viewer.scopes(), id.to_string()));
        assert!(
            !viewer.sees_personal_data() && Principal::of_member(id, Role::Operator).sees_personal_data()
        );
    }

    #[test]
    fn scopes_survive_being_stored_and_unknown_ones_grant_nothing() {
        for scope in Scope::ALL {
            let one = Scopes::new(&[scope]);
            assert_eq!(Scopes::from_text(&one.text()), one);
            assert_eq!(one.list().collect::<Vec<_>>(), [scope]);
        }
        assert_eq!(Scopes::from_text(&Scopes::usual().text()), Scopes::usual());
        assert_eq!(Scopes::from_text("*"), Scopes::EVERY);
        assert_eq!(Scopes::from_text("keys:eat callbacks:read"), Scopes::new(&[Scope::CallbacksRead]));
        assert_eq!(Scopes::from_text("pii:read pii:read"), Scopes::new(&[Scope::PiiRead]), "twice is once");
    }

    #[test]
    fn a_test_key_changes_nothing_but_test_callbacks() {
        let changes: Vec<_> = Scopes::of_tests().list().filter(|s| s.as_str().ends_with(":write")).collect();
        assert_eq!(changes, [Scope::CallbacksWrite]);
        let requested = Scopes::new(&[Scope::KeysWrite, Scope::PiiRead]);
        assert_eq!(Scopes::of_tests().within(requested), Scopes::new(&[Scope::PiiRead]));
    }

    #[test]
    fn the_usual_scopes_are_all_but_personal_data_and_nobody_covers_more_than_they_have() {
        assert!(!Scopes::usual().has(Scope::PiiRead) && Scopes::usual().has(Scope::KeysWrite));
        assert!(Scopes::EVERY.covers(Scopes::usual()) && !Scopes::usual().covers(Scopes::EVERY));
        assert!(!Scopes::usual().covers(Scopes::new(&[Scope::PiiRead])));
        for pair in Role::ALL.windows(2) {
            assert!(pair[0].scopes().covers(pair[1].scopes()), "{pair:?}");
            assert_eq!(pair[0].as_str().parse(), Ok(pair[0]));
        }
        assert!(!Role::Viewer.scopes().has(Scope::PiiRead));
    }
}
