//! A network that loses packets: whoever encodes the pictures sends less, and more again when it recovers.

mod support;

use std::time::Duration;

use support::browser::Browser;
use support::levada::Levada;
use support::visitor::Visitor;

/// For encoders to have found their pace, for the loss, and for what follows, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// What the host sends is lost in part, for some seconds.
const LOSS: (&str, &str) = (
    "LEVADA_TEST_LOSS",
    "seed=7,per-thousand=250,after=12s,for=6s,direction=out",
);

async fn at(browser: &Browser, graph: &str, more: &[&str]) -> (Levada, Visitor) {
    let mut arguments = vec!["run", graph, "--listen", "127.0.0.1:0", "--json"];
    arguments.extend(more);
    let levada = Levada::serve_with(&arguments, &[LOSS]);
    let url = format!("{}/?source=pattern&autostart=1", levada.url);
    let visitor = Visitor::arrive(browser, "loss", &url).await;
    visitor.is_connected().await;
    (levada, visitor)
}

/// Waits for a figure that `rate` (an expression of `pc`) gives to fall to a part of what it was, and to climb again.
async fn falls_and_climbs(visitor: &Visitor, rate: &str) {
    let story = format!(
        "(async () => {{ \
         const seen = window.seen ??= {{ rates: [], high: 0, low: Infinity }}; \
         const rate = await ({rate}); \
         if (!rate) throw 'no rate yet'; \
         seen.rates.push(Math.round(rate / 1000)); \
         seen.high = Math.max(seen.high, rate); \
         if (rate < 0.75 * seen.high) seen.low = Math.min(seen.low, rate); \
         if (rate > 1.15 * seen.low) return seen; \
         throw JSON.stringify(seen); }})()"
    );
    let seen = visitor
        .page
        .wait_for("a rate that falls and climbs", LIMIT, &story)
        .await;
    println!("{seen}");
    assert_eq!(visitor.page.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn an_encoder_of_the_graph_sends_less_while_packets_are_lost() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(&browser, "examples/mirror.toml", &[]).await;
    visitor.sees_video().await;
    // Bits that come in a second and a half.
    falls_and_climbs(&visitor, "levadaTest.videoRate(pc, 1500)").await;
    levada.stop_with_report();
}

#[tokio::test]
async fn a_browser_whose_own_pictures_come_back_sends_less_while_they_are_lost() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (levada, visitor) = at(
        &browser,
        "examples/echo.toml",
        &["--set", "browser.adapt=true"],
    )
    .await;
    visitor.sees_video().await;
    // Nothing of what it sends is lost: only the host can tell it.
    falls_and_climbs(&visitor, "levadaTest.videoTarget(pc, 500)").await;
    levada.stop_with_report();
}
