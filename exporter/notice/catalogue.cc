#include "exporter/notice/catalogue.h"

namespace deferd {

namespace {

constexpr Catalogue kCatalogues[] = {
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
     .limit_text =
         "{bad} of {of} deliveries failed or were deferred ({percent}%); allowed are fewer than "
         "{min_bad} or {percent_limit}%",
     .count_text = "{bad} {counted}; allowed are fewer than {min_bad}",
     .more = "and {count} more about the same",
     .storm_title = "{count} notices at once",
     .dropped = "and {count} more that are not listed here",
     .not_known = "not known",
     .sent_of = "{name}: {bad} of {sent} failed or deferred",
     .footer = "Sent by deferd, which limits failing mail on this server. Answers are not read.",
     .troubles = {}},
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
     .limit_text =
         "{bad} von {of} Zustellungen schlugen fehl oder wurden verzögert ({percent} %); erlaubt "
         "sind weniger als {min_bad} oder {percent_limit} %",
     .count_text = "{bad}; erlaubt sind weniger als {min_bad}",
     .more = "und {count} weitere dazu",
     .storm_title = "{count} Meldungen auf einmal",
     .dropped = "und {count} weitere, die hier nicht aufgeführt sind",
     .not_known = "nicht bekannt",
     .sent_of = "{name}: {bad} von {sent} fehlgeschlagen oder verzögert",
     .footer = "Gesendet von deferd, das fehlschlagende Mail auf diesem Server begrenzt. Antworten "
               "werden nicht gelesen.",
     .troubles = {{{"keine fehlgeschlagene Zustellung ist bekannt", ""},
                   {"wahrscheinlich ein gestohlenes Passwort", "das Passwort sofort ändern"},
                   {"die Mail wird als Spam oder Virus abgelehnt",
                    "den Inhalt und den Zugang prüfen, das Passwort ändern"},
                   {"Adressen der Empfänger gibt es nicht", "die Empfängerliste bereinigen"},
                   {"eine Adresse gibt es nicht, und es wird immer wieder versucht",
                    "die Adresse berichtigen"},
                   {"die Domain des Empfängers gibt es nicht", "die Adresse berichtigen"},
                   {"dieser Server lehnte Empfänger ab, die es nicht gibt",
                    "die Empfängerliste bereinigen"},
                   {"das Postfach des Empfängers ist voll", "später erneut senden"},
                   {"der Empfänger lässt neue Absender warten (Greylisting)", "abwarten"},
                   {"es wird zu schnell gesendet", "langsamer senden"},
                   {"die IP-Adresse dieses Servers wird abgelehnt",
                    "der Betreiber des Servers muss handeln"},
                   {"die Domain des Absenders steht auf einer Sperrliste",
                    "die Ursache beheben und die Austragung beantragen"},
                   {"SPF, DKIM oder DMARC stimmen nicht",
                    "die DNS-Einträge der Domain berichtigen"},
                   {"die Absenderadresse wird nicht anerkannt", "die Absenderadresse berichtigen"},
                   {"der Zielserver leitet nicht weiter", "die Adresse und das MX prüfen"},
                   {"eine Regel des Empfängers verbietet die Mail", "den Empfänger fragen"},
                   {"die Mail ist zu groß", "Anhänge verkleinern"},
                   {"der Server des Empfängers ist gestört", "abwarten"},
                   {"dieser Server erreicht keinen anderen", "der Betreiber muss handeln"},
                   {"die Verschlüsselung scheitert", "TLS-Einstellungen prüfen"},
                   {"die Mail läuft im Kreis", "Weiterleitungen prüfen"},
                   {"die Mail ist falsch aufgebaut", "das sendende Programm berichtigen"},
                   {"dieser Server hat die Mail selbst angehalten",
                    "der Betreiber muss die Einstellungen prüfen"},
                   {"die Antworten nennen keinen Grund", "die Antworten lesen"},
                   {"mehrere Ursachen zugleich", "die Antworten einzeln lesen"}}}},
};

}  // namespace

const Catalogue& CatalogueOf(absl::string_view language) {
  for (const Catalogue& one : kCatalogues) {
    if (one.language == language) return one;
  }
  return kCatalogues[0];
}

}  // namespace deferd
