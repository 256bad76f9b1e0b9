#include "exporter/notice/catalogue.h"

namespace deferd {

namespace {

const Catalogue kCatalogues[] = {
    {.language = "en",
     .titles = {"{subject}: close to its limit", "{subject}: mail stopped",
                "{subject}: still stopped", "{subject}: mail flows again",
                "{subject}: held mail waits for a decision", "{where} fails for many senders",
                "{where} accepts mail again", "{where} refuses this server", "deferd cannot count",
                "the mail server does not query deferd", "deferd cannot save its state",
                "nodes cannot share", "the new policy was refused", "recovered", "daily summary",
                "test notice"},
     .until = "Until",
     .limit = "Limit",
     .who = "Who",
     .what = "What",
     .fault = "Cause",
     .remedy = "To do",
     .reason = "Reason",
     .server = "Server",
     .where = "Where",
     .held = "Held",
     .answer = "Answer",
     .case_id = "Case",
     .for_ever = "a person ends it",
     .our_people = "the administrator of this server",
     .page = "Messages and reasons",
     .limit_text = "{bad} of {of} deliveries failed or were deferred ({percent}%); the limit is "
                   "{min_bad} that are at least {percent_limit}%",
     .count_text = "{bad} {counted}; the limit is {min_bad}",
     .more = "and {count} more about the same",
     .storm_title = "{count} notices at once",
     .dropped = "and {count} more that are not listed here",
     .not_known = "not known",
     .sent_of = "{name}: {bad} of {sent} failed or deferred",
     .footer = "Sent by deferd, which limits failing mail on this server. Answers are not read.",
     .kinds = {"Close to a limit", "Stopped", "Prolonged", "Free again", "Waiting for a decision",
               "Failing servers", "Servers that work again", "This server refused by",
               "Could not count", "Mail server did not ask", "Could not save", "Could not share",
               "Policies refused", "Recovered", "Summaries", "Tests"},
     .top = "Most failed",
     .top_text = "{subject}: {bad} of {sent}",
     .classes = "Answers",
     .class_text = "{count} {answer} (a week before: {before})",
     .held_text = "{count} messages, the oldest since {since}",
     .more_names = "{names} and {count} more",
     .translations = {}},
    {.language = "de",
     .titles = {"{subject}: kurz vor der Grenze", "{subject}: Mailversand angehalten",
                "{subject}: weiterhin angehalten", "{subject}: Mailversand wieder frei",
                "{subject}: angehaltene Mail wartet auf eine Entscheidung",
                "{where} scheitert bei vielen Absendern", "{where} nimmt wieder Mail an",
                "{where} lehnt diesen Server ab", "deferd kann nicht zählen",
                "der Mailserver fragt deferd nicht", "deferd kann seinen Stand nicht speichern",
                "die Knoten können sich nicht abgleichen", "die neue Regeldatei wurde abgelehnt",
                "wieder in Ordnung", "Tagesbericht", "Testnachricht"},
     .until = "Bis",
     .limit = "Grenze",
     .who = "Wer",
     .what = "Was",
     .fault = "Ursache",
     .remedy = "Zu tun",
     .reason = "Grund",
     .server = "Server",
     .where = "Wo",
     .held = "Wartend",
     .answer = "Antwort",
     .case_id = "Fall",
     .for_ever = "jemand ihn beendet",
     .our_people = "die Verwaltung dieses Mailservers",
     .page = "Nachrichten und Gründe",
     .limit_text =
         "{bad} von {of} Zustellungen schlugen fehl oder wurden verzögert ({percent} %); die "
         "Grenze sind {min_bad}, die mindestens {percent_limit} % ausmachen",
     .count_text = "{bad} {counted}; die Grenze ist {min_bad}",
     .more = "und {count} weitere dazu",
     .storm_title = "{count} Meldungen auf einmal",
     .dropped = "und {count} weitere, die hier nicht aufgeführt sind",
     .not_known = "nicht bekannt",
     .sent_of = "{name}: {bad} von {sent} fehlgeschlagen oder verzögert",
     .footer = "Gesendet von deferd, das fehlschlagende Mail auf diesem Server begrenzt. Antworten "
               "werden nicht gelesen.",
     .kinds = {"Kurz vor einer Grenze", "Angehalten", "Verlängert", "Wieder frei",
               "Wartet auf eine Entscheidung", "Gestörte Server", "Server, die wieder annehmen",
               "Dieser Server abgelehnt von", "Nicht gezählt", "Mailserver fragte nicht",
               "Nicht gespeichert", "Nicht abgeglichen", "Abgelehnte Regeldateien",
               "Wieder in Ordnung", "Tagesberichte", "Tests"},
     .top = "Meiste Fehlschläge",
     .top_text = "{subject}: {bad} von {sent}",
     .classes = "Antworten",
     .class_text = "{count} {answer} (eine Woche zuvor: {before})",
     .held_text = "{count} Nachrichten, die älteste seit {since}",
     .more_names = "{names} und {count} weitere",
     .translations = GermanTexts()},
};

}  // namespace

absl::Span<const Catalogue> Catalogues() { return kCatalogues; }

absl::string_view Translated(const Catalogue& words, absl::string_view english) {
  for (const Translation& one : words.translations) {
    if (one.english == english) return one.text;
  }
  return english;
}

const Catalogue& CatalogueOf(absl::string_view language) {
  for (const Catalogue& one : kCatalogues) {
    if (one.language == language) return one;
  }
  return kCatalogues[0];
}

}  // namespace deferd
