//! Who acts, and what they may do: principals, scopes of keys, roles of members.
//!
//! Invariant: nobody passes on more than they have ([`Scopes::covers`]).

use std::str::FromStr;

use crate::UnknownName;

use jiff::Timestamp;

use crate::{Id, id};

/// Whoever acts for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who it is.
    pub who: Who,
    /// What it may do.
    pub scopes: Scopes,
    /// The only workspace it may see; `None` for all of the tenant's.
    pub workspace: Option<Id<id::Workspace>>,
    /// Until when it counts; `None` without an end.
    pub expires_at: Option<Timestamp>,
}

/// A key, or somebody who signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// An API key.
    Key(Id<id::Key>),
    /// A member.
    Member(Id<id::Member>),
}

impl Principal {
    /// A member: of the whole tenant, as its role says.
    pub fn of_member(member: Id<id::Member>, role: Role) -> Self {
        Self { who: Who::Member(member), scopes: role.scopes(), workspace: None, expires_at: None }
    }

    /// Whether it may see numbers, payloads and what was said in clear.
    pub const fn sees_personal_data(&self) -> bool {
        self.scopes.has(Scope::PiiRead)
    }

    /// Its id, as the audit log names it.
    pub fn name(&self) -> String {
        match self.who {
            Who::Key(id) => id.to_string(),
            Who::Member(id) => id.to_string(),
        }
    }
}

/// One thing a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See workspaces and their settings.
    WorkspacesRead,
    /// Connect, change, sync, delete and restore workspaces.
    WorkspacesWrite,
    /// See agents and where to point their webhooks.
    AgentsRead,
    /// Switch agents, change their settings.
    AgentsWrite,
    /// See callbacks, and why they are when they are.
    CallbacksRead,
    /// Schedule, move, cancel and force callbacks.
    CallbacksWrite,
    /// See the do-not-call list.
    SuppressionsRead,
    /// Change the do-not-call list.
    SuppressionsWrite,
    /// See the activity feed.
    ActivityRead,
    /// See the book of privileged acts.
    AuditRead,
    /// See quota and use.
    UsageRead,
    /// See keys, never their secrets.
    KeysRead,
    /// Make and revoke keys.
    KeysWrite,
    /// See numbers in clear, and captured payloads.
    PiiRead,
    /// See who signs in.
    MembersRead,
    /// Add, change and remove members.
    MembersWrite,
}

impl Scope {
    /// Every scope there is.
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

    /// Its name in the API and the store.
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
    /// Every scope, also those that are added later.
    pub const EVERY: Self = Self(u32::MAX);

    /// These.
    pub fn new(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, s| bits | s.bit()))
    }

    /// What a key has unless it says otherwise: all but personal data.
    pub const fn usual() -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < Scope::ALL.len() {
            bits |= Scope::ALL[i].bit();
            i += 1;
        }
        Self(bits & !Scope::PiiRead.bit())
    }

    /// All that a key for test callbacks may have: whatever changes nothing that is live.
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

    /// Whether it has this one.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether it has all of the other's.
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Those that both have.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its scopes, in order.
    pub fn list(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |s| self.has(*s))
    }

    /// As it is stored: words with spaces between, `*` for every one.
    pub fn text(self) -> String {
        if self == Self::EVERY {
            return "*".to_owned();
        }
        self.list().map(Scope::as_str).collect::<Vec<_>>().join(" ")
    }

    /// From how it is stored; words that are unknown grant nothing.
    pub fn from_text(text: &str) -> Self {
        if text == "*" {
            return Self::EVERY;
        }
        Self::new(&text.split(' ').filter_map(|scope| scope.parse().ok()).collect::<Vec<_>>())
    }
}

/// What a member is in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything; there is always one.
    Owner,
    /// Everything; members of that role leave the owners alone.
    Admin,
    /// Callbacks, agents and the do-not-call list; no keys and no accounts.
    Operator,
    /// Looks, without personal data.
    Viewer,
}

impl Role {
    /// Every role, highest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Operator, Self::Viewer];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// What it may do.
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
        let asked = Scopes::new(&[Scope::KeysWrite, Scope::PiiRead]);
        assert_eq!(Scopes::of_tests().within(asked), Scopes::new(&[Scope::PiiRead]));
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
