//! Tenants' keys and sealing with them.

pub(crate) mod kek_proof;
pub(crate) mod keyring;
pub(crate) mod rotation;
pub(crate) mod seal;
pub(crate) mod tenant_keys;
