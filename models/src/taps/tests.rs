use super::*;

const IOS: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const DROID: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)";
const WIN: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)";

fn classify(agent: &str) -> Classification {
    Classifier::default().classify(Some(agent), false)
}

#[test]
fn people_and_their_devices() {
    use Device::{Desktop, Mobile, Tablet, Tv};
    let cases: &[(&str, &str, Device, &str, &str)] = &[
        (IOS, "Version/17.5 Mobile/15E148 Safari/604.1", Mobile, "iOS", "Safari"),
        (IOS, "CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1", Mobile, "iOS", "Chrome"),
        (IOS, "FxiOS/127.0 Mobile/15E148 Safari/605.1.15", Mobile, "iOS", "Firefox"),
        (IOS, "Version/17.0 EdgiOS/125.0.2535.96 Mobile/15E148 Safari/604.1", Mobile, "iOS", "Edge"),
        (IOS, "GSA/322.0.643155117 Mobile/15E148 Safari/604.1", Mobile, "iOS", "Google app"),
        (
            IOS,
            "Mobile/21F90 Instagram 338.0.6.33.95 (iPhone15,3; iOS 17_5_1; en_US)",
            Mobile,
            "iOS",
            "Instagram",
        ),
        (IOS, "Mobile/21F90 [FBAN/FBIOS;FBAV/467.0.0.45.107;FBDV/iPhone14,5]", Mobile, "iOS", "Facebook"),
        (IOS, "Mobile/21F90 [FBAN/MessengerForiOS;FBAV/464.0]", Mobile, "iOS", "Messenger"),
        (IOS, "Mobile/21F90 musical_ly_34.9.0 BytedanceWebview/d8a21c6", Mobile, "iOS", "TikTok"),
        (
            IOS,
            "Version/17.5 Mobile/15E148 Snapchat/12.90.0.46 (like Safari/8618.2)",
            Mobile,
            "iOS",
            "Snapchat",
        ),
        (IOS, "Mobile/10A523 Twitter for iPhone", Mobile, "iOS", "X"),
        (IOS, "Safari Line/14.9.1", Mobile, "iOS", "LINE"),
        (IOS, "Mobile/21F90 MicroMessenger/8.0.49(0x18003135) NetType/WIFI", Mobile, "iOS", "WeChat"),
        (IOS, "Mobile/21F90", Mobile, "iOS", "iOS WebView"),
        (DROID, "Chrome/126.0.0.0 Mobile Safari/537.36", Mobile, "Android", "Chrome"),
        (
            DROID,
            "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
            Mobile,
            "Android",
            "Samsung Internet",
        ),
        (DROID, "Chrome/125.0.0.0 Mobile Safari/537.36 EdgA/125.0.2535.72", Mobile, "Android", "Edge"),
        (DROID, "Chrome/124.0.0.0 Mobile Safari/537.36 OPR/82.0.4342.79", Mobile, "Android", "Opera"),
        (DROID, "Chrome/126.0 Mobile DuckDuckGo/5 Safari/537.36", Mobile, "Android", "DuckDuckGo"),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-A536B; wv) AppleWebKit/537.36",
            "Version/4.0 Chrome/125.0 Mobile Safari/537.36",
            Mobile,
            "Android",
            "Android WebView",
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36",
            "Chrome/110.0 Mobile Safari/537.36",
            Mobile,
            "Android",
            "Chrome",
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:127.0)",
            "Gecko/127.0 Firefox/127.0",
            Mobile,
            "Android",
            "Firefox",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36",
            "Chrome/126.0.0.0 Safari/537.36",
            Tablet,
            "Android",
            "Chrome",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15",
            "Version/16.6 Mobile/15E148 Safari/604.1",
            Tablet,
            "iOS",
            "Safari",
        ),
        (MAC, "Mobile/15E148 Instagram 330.0", Tablet, "iOS", "Instagram"),
        (
            "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36",
            "Silk/120.4.1 like Chrome/120 Safari/537.36",
            Tablet,
            "Android",
            "Silk",
        ),
        (WIN, "Chrome/126.0.0.0 Safari/537.36", Desktop, "Windows", "Chrome"),
        (WIN, "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", Desktop, "Windows", "Edge"),
        (WIN, "Chrome/126.0.0.0 Safari/537.36 Vivaldi/6.8", Desktop, "Windows", "Vivaldi"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0)",
            "Gecko/20100101 Firefox/127.0",
            Desktop,
            "Windows",
            "Firefox",
        ),
        (
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0;",
            "Tablet PC 2.0; InfoPath.3)",
            Desktop,
            "Windows",
            "Internet Explorer",
        ),
        (MAC, "Version/17.5 Safari/605.1.15", Desktop, "macOS", "Safari"),
        (
            "Mozilla/5.0 (X11; Linux x86_64)",
            "AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
            Desktop,
            "Linux",
            "Chrome",
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)",
            "AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
            Desktop,
            "ChromeOS",
            "Chrome",
        ),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0)",
            "AppleWebKit/537.36 SamsungBrowser/4.0 TV Safari/537.36",
            Tv,
            "Tizen",
            "Samsung Internet",
        ),
        (
            "Mozilla/5.0 (PlayStation; PlayStation 5/6.50)",
            "AppleWebKit/605.1.15 Version/16.4 Safari/605.1.15",
            Tv,
            "PlayStation",
            "Safari",
        ),
        (
            "Mozilla/5.0 (BlackBerry; U; BlackBerry 9900; en)",
            "AppleWebKit/534.11+ Version/7.1.0 Mobile Safari/534.11+",
            Mobile,
            "BlackBerry",
            "BlackBerry",
        ),
        (
            "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1; U; en)",
            "Presto/2.8.119 Version/11.10",
            Mobile,
            "other",
            "Opera Mini",
        ),
        ("LG-LG220C UP.Browser/6.2.3.8", "(GUI) MMP/2.0 Profile/MIDP-2.0", Mobile, "other", "other"),
    ];
    for (platform, rest, device, os, browser) in cases {
        let agent = format!("{platform} {rest}");
        let found = classify(&agent);
        assert_eq!(
            (found.class, found.bot_class, found.device, found.os, found.browser),
            (Class::Human, None, *device, *os, *browser),
            "{agent}"
        );
    }
}

#[test]
fn programs() {
    let preview = (Class::Preview, BotClass::SocialPreview);
    let bot = |class| (Class::Bot, class);
    let imessage = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) \
        Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0";
    let smartphone_googlebot = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, \
        like Gecko) Chrome/125.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let cases: &[(&str, (Class, BotClass))] = &[
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", preview),
        (imessage, preview),
        ("Twitterbot/1.0", preview),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", preview),
        ("WhatsApp/2.23.20.0", preview),
        ("TelegramBot (like TwitterBot)", preview),
        ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", preview),
        ("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", preview),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", preview),
        ("ShortLinkTranslate", preview),
        (smartphone_googlebot, bot(BotClass::Search)),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", bot(BotClass::Search)),
        (
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            bot(BotClass::Search),
        ),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)", bot(BotClass::Ai)),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", bot(BotClass::Monitor)),
        ("UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/", bot(BotClass::Feed)),
        ("Mozilla/5.0 (compatible; archive.org_bot +http://www.archive.org)", bot(BotClass::Archive)),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/125.0 Safari/537.36", bot(BotClass::Automation)),
        ("curl/8.5.0", bot(BotClass::Library)),
        ("python-requests/2.31.0", bot(BotClass::Library)),
        ("Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B)", bot(BotClass::Library)),
        ("MyApp/3.1 CFNetwork/1494 Darwin/23.4.0", bot(BotClass::Library)),
        ("GoogleMaps/RochesterNY", bot(BotClass::Other)),
        ("SomeNewCrawler", bot(BotClass::Other)),
        ("", bot(BotClass::NoAgent)),
        ("-", bot(BotClass::NoAgent)),
    ];
    for (agent, (class, bot_class)) in cases {
        let found = classify(agent);
        assert_eq!((found.class, found.bot_class), (*class, Some(*bot_class)), "{agent}");
    }
    assert_eq!(Classifier::default().classify(None, false).bot_class, Some(BotClass::NoAgent));
}

#[test]
fn a_head_request_is_never_a_tap() {
    let classifier = Classifier::new(Parameters { count_previews: true, ..Parameters::default() });
    for agent in [IOS, "Twitterbot/1.0", "Googlebot", "", "curl/8"] {
        assert_eq!(classifier.classify(Some(agent), true).class, Class::Preview, "{agent}");
    }
    assert_eq!(classifier.classify(Some(IOS), true).bot_class, Some(BotClass::Head));
    assert_eq!(classifier.classify(Some("Twitterbot/1.0"), false).class, Class::Human);
}

#[test]
fn parameters_decide_and_survive_a_round_trip() {
    let mut parameters = Parameters::default();
    parameters.patterns.insert(0, Pattern { contains: "Pixel 8".into(), class: BotClass::Monitor });
    parameters.patterns.push(Pattern { contains: String::new(), class: BotClass::Other });
    parameters.no_agent_is_bot = false;
    let text = serde_json::to_string(&parameters).unwrap();
    assert_eq!(serde_json::from_str::<Parameters>(&text).unwrap(), parameters);
    let classifier = Classifier::new(parameters);
    assert_eq!(classifier.classify(Some(DROID), false).bot_class, Some(BotClass::Monitor));
    assert_eq!(classifier.classify(Some(IOS), false).class, Class::Human);
    assert_eq!(classifier.classify(None, false).class, Class::Human);
    assert!(serde_json::from_str::<Parameters>(r#"{"pattern":[]}"#).is_err());
}
