//! The known providers, and the only code that selects one.

use std::{collections::BTreeMap, sync::Arc};

use redialer_core::workspace::ProviderName;

use crate::{
    http::SharedTransport,
    provider::Provider,
    retell::{self, api::Api},
};

/// The providers' names, in paths, in the API and in the store.
pub const NAMES: [&str; 1] = [retell::NAME];

/// Each provider's guide: its name, its display name, and the Markdown text.
pub const GUIDES: [(&str, &str, &str); 1] =
    [(retell::NAME, retell::TITLE, include_str!("../../../docs/providers/retell.md"))];

/// Every provider that this process can use.
#[derive(Clone)]
pub struct Providers {
    by_name: BTreeMap<&'static str, Arc<dyn Provider>>,
    simulated: Arc<dyn Provider>,
}

/// No provider of that name is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider `{0}` is not known to this version")]
pub struct UnknownProvider(pub String);

impl Providers {
    /// The providers at their base URLs, all reached through `wire`, and the simulator, which receives test callbacks.
    pub fn new(wire: SharedTransport, retell_base_url: &str, simulated: Arc<dyn Provider>) -> Self {
        let retell: Arc<dyn Provider> = Arc::new(Api::new(wire, retell_base_url));
        Self { by_name: BTreeMap::from([(retell::NAME, retell)]), simulated }
    }

    /// Adds one more provider.
    #[must_use]
    pub fn with(mut self, name: &'static str, provider: Arc<dyn Provider>) -> Self {
        self.by_name.insert(name, provider);
        self
    }

    /// The provider of a workspace; for its test callbacks the simulator, so that no test reaches a provider.
    pub fn get(&self, name: &ProviderName, is_test: bool) -> Result<&dyn Provider, UnknownProvider> {
        if is_test {
            return Ok(&*self.simulated);
        }
        match self.by_name.get(name.as_str()) {
            Some(provider) => Ok(&**provider),
            None => Err(UnknownProvider(name.to_string())),
        }
    }

    /// The names of all providers.
    pub fn names(&self) -> Vec<&'static str> {
        self.by_name.keys().copied().collect()
    }
}
