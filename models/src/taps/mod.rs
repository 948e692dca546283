//! Who is behind a tap: a person, a program or a link preview, and with what
//! device. A pure function of the method, the user agent and [`Parameters`].
//!
//! What counts: a *tap* is a GET by a person. HEAD requests and the fetchers
//! of link previews are previews, everything else automatic is a bot; both are
//! reported beside the taps and never mixed into them.

mod agent;
mod defaults;
mod parameters;
pub mod sessions;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use hashlink::LruCache;
use serde::{Deserialize, Serialize};

pub use parameters::{BadParameter, Parameters, Pattern};

pub const NAME: &str = "bots";
/// What a new installation begins with. A version changes when the code makes
/// something else of the same facts and parameters; the older ones stay.
pub const VERSION: u32 = 1;
/// Version 2 also tells visits apart ([`sessions`]).
pub const WITH_SESSIONS: u32 = 2;
pub const VERSIONS: [u32; 2] = [VERSION, WITH_SESSIONS];
/// User agents remembered; a show has a few thousand different ones.
const CACHED_AGENTS: usize = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Human,
    Bot,
    Preview,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::Preview => "preview",
        }
    }
}

/// What kind of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BotClass {
    /// Web and marketing search engines.
    Search,
    /// Crawlers and agents of language models.
    Ai,
    /// Link previews of social networks and messengers.
    SocialPreview,
    /// Uptime and performance checks.
    Monitor,
    /// Feed readers.
    Feed,
    /// Web archives.
    Archive,
    /// Browsers run by a program.
    Automation,
    /// HTTP libraries, command-line tools and scripts.
    Library,
    /// A HEAD request by what looks like a browser.
    Head,
    /// No user agent at all.
    NoAgent,
    Other,
}

impl BotClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Ai => "ai",
            Self::SocialPreview => "social_preview",
            Self::Monitor => "monitor",
            Self::Feed => "feed",
            Self::Archive => "archive",
            Self::Automation => "automation",
            Self::Library => "library",
            Self::Head => "head",
            Self::NoAgent => "no_agent",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    Mobile,
    /// iPads that call themselves Macs (Safari since iPadOS 13) are desktops here.
    Tablet,
    Desktop,
    /// Television sets, sticks and game consoles.
    Tv,
    Other,
    /// The agent was erased.
    Erased,
}

impl Device {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Desktop => "desktop",
            Self::Tv => "tv",
            Self::Other => "other",
            Self::Erased => ERASED,
        }
    }
}

/// The interpretation of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classification {
    pub class: Class,
    /// Set unless it is a person.
    pub bot_class: Option<BotClass>,
    pub device: Device,
    pub os: &'static str,
    pub browser: &'static str,
}

/// Stands for what an agent would have told.
pub const ERASED: &str = "erased";

impl Classification {
    /// Of a request whose agent was erased, whatever the parameters: a person's,
    /// since nothing says otherwise any more.
    pub fn erased(head: bool) -> Self {
        let (class, bot_class) =
            if head { (Class::Preview, Some(BotClass::Head)) } else { (Class::Human, None) };
        Self { class, bot_class, device: Device::Erased, os: ERASED, browser: ERASED }
    }
}

/// The model with its parameters made ready for use.
pub struct Classifier {
    parameters: Parameters,
    cache: Mutex<LruCache<Box<str>, Classification>>,
}

impl Default for Classifier {
    fn default() -> Self {
        Self::new(Parameters::default())
    }
}

impl Classifier {
    pub fn new(mut parameters: Parameters) -> Self {
        for pattern in &mut parameters.patterns {
            pattern.contains.make_ascii_lowercase();
        }
        // An empty word would match, or be cut out of, everything.
        parameters.patterns.retain(|p| !p.contains.is_empty());
        for words in [&mut parameters.harmless, &mut parameters.browser_words] {
            words.iter_mut().for_each(|w| w.make_ascii_lowercase());
            words.retain(|w| !w.is_empty());
        }
        Self { parameters, cache: Mutex::new(LruCache::new(CACHED_AGENTS)) }
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// `head`: the request was a HEAD (`band.previewed`).
    pub fn classify(&self, user_agent: Option<&str>, head: bool) -> Classification {
        let agent = user_agent.map(str::trim).filter(|a| !a.is_empty() && *a != "-").unwrap_or("");
        let found = self.cached(agent);
        match found.class {
            Class::Human if head => {
                Classification { class: Class::Preview, bot_class: Some(BotClass::Head), ..found }
            }
            Class::Preview if !head && self.parameters.count_previews => {
                Classification { class: Class::Human, bot_class: None, ..found }
            }
            Class::Bot if head => Classification { class: Class::Preview, ..found },
            _ => found,
        }
    }

    fn cached(&self, agent: &str) -> Classification {
        // A panic elsewhere can't leave the cache half changed.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cache.get(agent) {
            return *found;
        }
        let found = self.read_agent(agent);
        cache.insert(agent.into(), found);
        found
    }

    /// The interpretation of a GET by this agent.
    fn read_agent(&self, agent: &str) -> Classification {
        let agent = agent.to_ascii_lowercase();
        let bot_class = self.bot_class(&agent);
        Classification {
            class: match bot_class {
                None => Class::Human,
                Some(BotClass::SocialPreview) => Class::Preview,
                Some(_) => Class::Bot,
            },
            bot_class,
            device: agent::device(&agent),
            os: agent::os(&agent),
            browser: agent::browser(&agent),
        }
    }

    fn bot_class(&self, agent: &str) -> Option<BotClass> {
        let p = &self.parameters;
        if agent.is_empty() {
            return p.no_agent_is_bot.then_some(BotClass::NoAgent);
        }
        let without_harmless = p.harmless.iter().fold(agent.to_owned(), |text, word| text.replace(word, ""));
        if let Some(pattern) = p.patterns.iter().find(|p| without_harmless.contains(&p.contains)) {
            return Some(pattern.class);
        }
        let is_browser = p.browser_words.iter().any(|word| agent.contains(word));
        (!is_browser).then_some(BotClass::Other)
    }
}
