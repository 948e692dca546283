//! Device, operating system and browser from a user agent in lower case. Names
//! come from closed lists, so that breakdowns stay small. Where an app opens
//! the link in a browser of its own, the app is the browser: «Instagram» says
//! more about a tap than «iOS WebView».

use super::Device;

fn any(agent: &str, words: &[&str]) -> bool {
    words.iter().any(|w| agent.contains(w))
}

const TV: &[&str] = &[
    "smart-tv",
    "smarttv",
    "hbbtv",
    "appletv",
    "apple tv",
    "googletv",
    "google tv",
    "android tv",
    "bravia",
    "roku",
    "crkey",
    "web0s",
    "netcast",
    "; aft",
    "playstation",
    "xbox",
    "nintendo",
];

const MOBILE: &[&str] = &[
    "iphone",
    "ipod",
    "mobile",
    "mobi ",
    "windows phone",
    "blackberry",
    "bb10",
    "opera mini",
    "opera mobi",
    "nokia",
    "symbian",
    "kaios",
    "midp",
    "samsung-",
    "sonyericsson",
    "docomo",
    "kddi-",
    "softbank",
    "ucweb",
];

const DESKTOP: &[&str] = &[
    "windows",
    "win98",
    "macintosh",
    "mac os x",
    "x11",
    "linux",
    "cros ",
    "freebsd",
    "openbsd",
    "lynx/",
    "w3m/",
];

pub fn device(agent: &str) -> Device {
    if any(agent, TV) {
        return Device::Tv;
    }
    let mobile = any(agent, MOBILE);
    let tablet = any(agent, &["ipad", "tablet;", "kindle", "playbook", "silk/"])
        || (agent.contains("tablet") && !agent.contains("tablet pc"))
        // Android leaves «mobile» out on tablets.
        || (agent.contains("android") && !mobile)
        // A Mac has no mobile build number: an iPad that asks for desktop sites.
        || (agent.contains("macintosh") && agent.contains("mobile/"));
    match () {
        () if tablet => Device::Tablet,
        () if mobile => Device::Mobile,
        () if any(agent, DESKTOP) => Device::Desktop,
        () => Device::Other,
    }
}

/// First match decides: phones name the systems that they resemble.
const OS: &[(&str, &str)] = &[
    ("windows phone", "Windows Phone"),
    ("xbox", "Xbox"),
    ("playstation", "PlayStation"),
    ("nintendo", "Nintendo"),
    ("kaios", "KaiOS"),
    ("tizen", "Tizen"),
    ("web0s", "webOS"),
    ("webos", "webOS"),
    ("harmonyos", "HarmonyOS"),
    ("openharmony", "HarmonyOS"),
    ("iphone", "iOS"),
    ("ipad", "iOS"),
    ("ipod", "iOS"),
    ("appletv", "tvOS"),
    ("android", "Android"),
    ("dalvik", "Android"),
    ("blackberry", "BlackBerry"),
    ("bb10", "BlackBerry"),
    ("playbook", "BlackBerry"),
    ("symbian", "Symbian"),
    ("series60", "Symbian"),
    ("windows", "Windows"),
    ("win98", "Windows"),
    ("cros ", "ChromeOS"),
    ("mac os x", "macOS"),
    ("macintosh", "macOS"),
    ("darwin", "macOS"),
    ("linux", "Linux"),
    ("ubuntu", "Linux"),
    ("x11", "Unix"),
];

pub fn os(agent: &str) -> &'static str {
    if agent.contains("macintosh") && agent.contains("mobile/") {
        return "iOS";
    }
    OS.iter().find(|(word, _)| agent.contains(word)).map_or("other", |(_, name)| name)
}

/// First match decides: apps before browsers, makers' browsers before the
/// engines that they are built on.
const BROWSER: &[(&str, &str)] = &[
    ("instagram", "Instagram"),
    ("barcelona", "Threads"),
    ("fban/messenger", "Messenger"),
    ("orca-android", "Messenger"),
    ("fban/", "Facebook"),
    ("fbav/", "Facebook"),
    ("fb_iab", "Facebook"),
    ("bytedancewebview", "TikTok"),
    ("musical_ly", "TikTok"),
    ("tiktok", "TikTok"),
    ("snapchat", "Snapchat"),
    ("twitter for", "X"),
    ("twitterandroid", "X"),
    ("linkedinapp", "LinkedIn"),
    ("pinterest", "Pinterest"),
    ("micromessenger", "WeChat"),
    ("kakaotalk", "KakaoTalk"),
    (" line/", "LINE"),
    ("reddit/", "Reddit"),
    ("spotify", "Spotify"),
    ("gsa/", "Google app"),
    ("edg/", "Edge"),
    ("edga/", "Edge"),
    ("edgios/", "Edge"),
    ("edge/", "Edge"),
    ("opera mini", "Opera Mini"),
    ("opr/", "Opera"),
    ("opt/", "Opera"),
    ("opios", "Opera"),
    ("opera", "Opera"),
    ("samsungbrowser", "Samsung Internet"),
    ("yabrowser", "Yandex Browser"),
    ("vivaldi", "Vivaldi"),
    ("ucbrowser", "UC Browser"),
    ("ucweb", "UC Browser"),
    ("miuibrowser", "Mi Browser"),
    ("huaweibrowser", "Huawei Browser"),
    ("heytapbrowser", "HeyTap Browser"),
    ("vivobrowser", "Vivo Browser"),
    ("duckduckgo", "DuckDuckGo"),
    ("ddg/", "DuckDuckGo"),
    ("brave", "Brave"),
    ("whale/", "Whale"),
    ("silk/", "Silk"),
    ("fxios", "Firefox"),
    ("focus/", "Firefox"),
    ("firefox", "Firefox"),
    ("seamonkey", "SeaMonkey"),
    ("iemobile", "Internet Explorer"),
    ("msie", "Internet Explorer"),
    ("trident/", "Internet Explorer"),
    ("crios", "Chrome"),
    ("; wv)", "Android WebView"),
    ("chrome", "Chrome"),
    ("chromium", "Chrome"),
    ("crmo", "Chrome"),
    ("blackberry", "BlackBerry"),
    ("bb10", "BlackBerry"),
    ("android", "Android Browser"),
    ("nokia", "Nokia Browser"),
    ("safari", "Safari"),
    ("gecko/", "Gecko"),
];

pub fn browser(agent: &str) -> &'static str {
    match BROWSER.iter().find(|(word, _)| agent.contains(word)) {
        Some((_, name)) => name,
        // Safari says so itself; without it an app shows the page.
        None if any(agent, &["iphone", "ipad", "ipod"]) => "iOS WebView",
        None if agent.contains("applewebkit") => "WebKit",
        None => "other",
    }
}
