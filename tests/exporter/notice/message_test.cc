#include "exporter/notice/message.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exporter/notice/catalogue.h"
#include "exporter/notice/mail_text.h"
#include "exporter/notice/send.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/fault.h"
#include "policy/reply/reply_class.h"

namespace deferd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

const absl::Time kMessageTime = absl::FromUnixSeconds(1'790'000'000);

Notice Blocked() {
  return {.id = "n1-1-7:blocked",
          .kind = NoticeKind::kBlocked,
          .time = kMessageTime,
          .subject = "shop.example",
          .domain = "shop.example",
          .thread = "n1-1-7",
          .facts =
              R"({"case":"n1-1-7","manual":false,"rule":"hourly","bad":7,"of":9,"percent":78,)"
              R"("min_bad":5,"percent_limit":35,"measure":"bad","until":"2026-11-29T01:00:00Z"})"};
}

Json Why() {
  return Json::parse(R"({"causes": {
        "who": [{"kind": "login", "name": "bob@shop.example", "bad": 7, "delivered": 2}],
        "answers": [{"class": "invalid_recipient", "count": 7}]},
      "fault": {"trouble": "dead_addresses", "fault": "this mailbox: its address list is old",
        "remedies": ["remove the addresses that do not exist"]}})");
}

std::string TextPart(const std::string& mail, int part) {
  const std::vector<std::string> pieces =
      absl::StrSplit(mail, "Content-Transfer-Encoding: base64\r\n\r\n");
  std::string body = pieces.at(static_cast<size_t>(part) + 1);
  body.resize(body.find("--=_deferd_"));
  std::string encoded, text;
  for (char c : body) {
    if (!absl::ascii_isspace(c)) encoded += c;
  }
  EXPECT_TRUE(absl::Base64Unescape(encoded, &text));
  return text;
}

TEST(NoticeMessageTest, ABlockNamesCauseCulpritAndRemedy) {
  const NoticeMessage message = MessageOf(Blocked(), Why(), 2, "en");
  EXPECT_EQ(message.title, "shop.example: mail stopped");
  EXPECT_THAT(message.lines, Contains(Pair("Who", "bob@shop.example: 7 of 9 failed or deferred")));
  EXPECT_THAT(message.lines, Contains(Pair("What", "7 addresses do not exist")));
  EXPECT_THAT(message.lines, Contains(Pair("Cause", "this mailbox: its address list is old")));
  EXPECT_THAT(message.lines, Contains(Pair("To do", "remove the addresses that do not exist")));
  EXPECT_THAT(message.lines, Contains(Pair("", "and 2 more about the same")));
}

TEST(NoticeMessageTest, TheOwnersLanguage) {
  Json why = Why();
  why["fault"]["fault"] = "this mailbox: an old address list, or a stolen password";
  why["fault"]["remedies"] = {"ask its owner; was it not them: change its password",
                              "remove these addresses from its list"};
  const NoticeMessage message = MessageOf(Blocked(), why, 0, "de");
  EXPECT_EQ(message.title, "shop.example: Mailversand angehalten");
  EXPECT_THAT(message.lines, Contains(Pair("Was", "7 Adressen gibt es nicht")));
  EXPECT_THAT(
      message.lines,
      Contains(
          Pair("Ursache", "dieses Postfach: eine alte Adressliste oder ein gestohlenes Passwort")));
  EXPECT_THAT(message.lines,
              Contains(Pair("Zu tun",
                            "den Besitzer fragen; war er es nicht: das Passwort ändern; diese "
                            "Adressen aus seiner Liste streichen")));
}

// All texts of a language, by a name for each.
std::map<std::string, absl::string_view> TextsOf(const Catalogue& words) {
  std::map<std::string, absl::string_view> texts = {
      {"until", words.until},
      {"limit", words.limit},
      {"who", words.who},
      {"what", words.what},
      {"fault", words.fault},
      {"remedy", words.remedy},
      {"reason", words.reason},
      {"server", words.server},
      {"where", words.where},
      {"held", words.held},
      {"answer", words.answer},
      {"limit_text", words.limit_text},
      {"count_text", words.count_text},
      {"more", words.more},
      {"storm_title", words.storm_title},
      {"dropped", words.dropped},
      {"not_known", words.not_known},
      {"sent_of", words.sent_of},
      {"footer", words.footer},
      {"top", words.top},
      {"top_text", words.top_text},
      {"classes", words.classes},
      {"class_text", words.class_text},
      {"held_text", words.held_text},
      {"more_names", words.more_names},
  };
  for (size_t i = 0; i < words.titles.size(); ++i) {
    texts[absl::StrCat("title ", i)] = words.titles[i];
    texts[absl::StrCat("kind ", i)] = words.kinds[i];
  }
  return texts;
}

std::set<std::string> PlaceholdersOf(absl::string_view text) {
  std::set<std::string> names;
  for (size_t at = text.find('{'); at != absl::string_view::npos; at = text.find('{', at + 1)) {
    names.emplace(text.substr(at, text.find('}', at) - at + 1));
  }
  return names;
}

TEST(NoticeMessageTest, EachLanguageHasWordsForEverythingWithTheSamePlaceholders) {
  const std::map<std::string, absl::string_view> english = TextsOf(CatalogueOf("en"));
  ASSERT_THAT(Catalogues(), testing::SizeIs(2));
  for (const Catalogue& words : Catalogues()) {
    const std::map<std::string, absl::string_view> texts = TextsOf(words);
    for (const auto& [name, text] : english) {
      EXPECT_FALSE(texts.at(name).empty()) << words.language << " " << name;
      EXPECT_EQ(PlaceholdersOf(texts.at(name)), PlaceholdersOf(text))
          << words.language << " " << name;
    }
  }
}

TEST(NoticeMessageTest, EachCauseRemedyAndAnswerIsTranslatedAndNothingElse) {
  std::set<absl::string_view> wanted;
  for (absl::string_view one : FaultTexts()) wanted.insert(one);
  for (int i = 0; i < kReplyClasses; ++i) {
    const AnswerWords& words = WordsOf(static_cast<ReplyClass>(i));
    wanted.insert(words.one);
    wanted.insert(words.many);
  }
  for (const Catalogue& words : Catalogues()) {
    if (words.language == "en") continue;
    std::set<absl::string_view> known;
    for (const Translation& one : words.translations) {
      EXPECT_FALSE(one.text.empty()) << one.english;
      EXPECT_TRUE(known.insert(one.english).second) << one.english << " is there twice";
    }
    for (absl::string_view one : wanted) {
      EXPECT_TRUE(known.contains(one)) << words.language << " has no words for: " << one;
    }
    // What rules count, and the daemon's own troubles: no table lists them.
    constexpr size_t kOthers = 4 + 3;
    EXPECT_EQ(known.size(), wanted.size() + kOthers) << "sentences that nobody says any more";
  }
}

TEST(NoticeMessageTest, TheDigestListsWhatHappenedAndComparesWithAWeekBefore) {
  Notice notice = Blocked();
  notice.kind = NoticeKind::kDigest;
  notice.facts = Dump({{"kinds",
                        {{"blocked", {{"names", {"a.example", "b.example"}}, {"more", 3}}},
                         {"own_address_refused", {{"names", {"gmx.net"}}, {"more", 0}}}}},
                       {"held", {{"messages", 12}, {"since", "2026-11-28T08:00:00Z"}}},
                       {"top", {{{"subject", "a.example"}, {"bad", 7}, {"sent", 9}}}},
                       {"classes",
                        {{{"class", "invalid_recipient"}, {"count", 27}, {"before", 3}},
                         {{"class", "mailbox_full"}, {"count", 1}, {"before", nullptr}}}}});
  const NoticeMessage english = MessageOf(notice, Json(), 0, "en");
  EXPECT_THAT(english.lines, Contains(Pair("Stopped", "a.example, b.example and 3 more")));
  EXPECT_THAT(english.lines, Contains(Pair("This server refused by", "gmx.net")));
  EXPECT_THAT(english.lines,
              Contains(Pair("Held", "12 messages, the oldest since 2026-11-28T08:00:00Z")));
  EXPECT_THAT(english.lines, Contains(Pair("Most failed", "a.example: 7 of 9")));
  EXPECT_THAT(english.lines,
              Contains(Pair("Answers",
                            "27 addresses do not exist (a week before: 3); 1 mailbox is full (a "
                            "week before: not known)")));
  EXPECT_THAT(MessageOf(notice, Json(), 0, "de").lines,
              Contains(Pair("Angehalten", "a.example, b.example und 3 weitere")));
}

// The reason is told, for people give it; who of the administrators it was is not.
TEST(NoticeMessageTest, AnOwnerReadsNoNamesOfAdministrators) {
  Notice notice = Blocked();
  notice.facts = Dump({{"case", "n1-1-7"},
                       {"manual", true},
                       {"permanent", true},
                       {"min_bad", 0},
                       {"until", "2126-11-29T01:00:00Z"},
                       {"by", "token:admin1"},
                       {"reason", "abuse 4711, Mrs. Smith"},
                       {"ended_by", "root"},
                       {"ended_by_person", true},
                       {"ended_reason", "she paid"}});
  for (NoticeKind kind : {NoticeKind::kBlocked, NoticeKind::kUnblocked}) {
    notice.kind = kind;
    const bool ended = kind == NoticeKind::kUnblocked;
    for (const char* language : {"en", "de"}) {
      std::string all;
      for (const auto& [label, text] :
           MessageOf(notice, Json(), 0, language, NoticeReader::kOwner).lines) {
        absl::StrAppend(&all, label, ": ", text, "\n");
      }
      for (const char* secret : {"admin1", "root"}) {
        EXPECT_THAT(all, Not(HasSubstr(secret))) << language;
      }
      EXPECT_THAT(all, HasSubstr(ended ? "she paid" : "abuse 4711"));
      EXPECT_THAT(all, HasSubstr("n1-1-7"));
      EXPECT_THAT(all, Not(HasSubstr("2126")));
    }
    const NoticeMessage operators = MessageOf(notice, Json(), 0, "en");
    EXPECT_THAT(operators.lines, Contains(Pair("Who", ended ? "root" : "token:admin1")));
    EXPECT_THAT(operators.lines,
                Contains(Pair("Reason", ended ? "she paid" : "abuse 4711, Mrs. Smith")));
  }
}

TEST(NoticeMessageTest, NobodyGuessesAMessageId) {
  MailFrame frame = {.from = "", .to = "o@x.example", .host = "mx.example", .language = "en"};
  Notice first = Blocked(), second = Blocked();
  first.secret = NewNoticeSecret();
  second.secret = NewNoticeSecret();
  EXPECT_THAT(first.secret, testing::SizeIs(32));
  EXPECT_NE(MessageIdOf(MessageOf(first, Json(), 0, "en"), frame),
            MessageIdOf(MessageOf(second, Json(), 0, "en"), frame));
  // And nobody who gets the event reads the secret.
  EXPECT_THAT(Dump(EventJson(first, Why(), "n1")), Not(HasSubstr(first.secret)));
}

TEST(NoticeMessageTest, HostileTextStaysTextInHeadersHtmlAndJson) {
  Notice notice = Blocked();
  const std::string evil =
      "a\r\nBcc: x@evil.example\r\n\r\n<script>alert(1)</script>\x1b[2J\xff\xe2\x80\xae";
  notice.subject = evil;
  notice.id = evil;
  notice.thread = evil;
  Json why = Why();
  why["causes"]["who"][0]["name"] = evil;
  why["fault"]["fault"] = evil;
  const NoticeMessage message = MessageOf(notice, why, 0, "en");
  const std::string mail = MailText(message,
                                    {.from = "d@mx.example",
                                     .to = "o@shop.example",
                                     .host = "mx.example",
                                     .language = "en",
                                     .title = evil},
                                    kMessageTime);
  const std::string head = mail.substr(0, mail.find("\r\n\r\n"));
  for (absl::string_view line : absl::StrSplit(head, "\r\n")) {
    EXPECT_LE(line.size(), 998u);
    EXPECT_FALSE(absl::StartsWithIgnoreCase(line, "bcc")) << line;
    for (char c : line) EXPECT_TRUE(absl::ascii_isprint(c)) << static_cast<int>(c);
  }
  EXPECT_THAT(TextPart(mail, 1), Not(HasSubstr("<script")));
  EXPECT_THAT(TextPart(mail, 0), Not(HasSubstr("\x1b")));
  const std::string json = Dump(EventJson(notice, why, "n1"));
  EXPECT_FALSE(Json::parse(json, nullptr, false).is_discarded());
  EXPECT_THAT(json, Not(HasSubstr("\n")));
}

TEST(NoticeMessageTest, AMailMayCarryALinkToThePageOfTheCase) {
  const MailFrame frame = {.from = "d@mx.example",
                           .to = "o@x.example",
                           .host = "mx.example",
                           .language = "en",
                           .title = ""};
  NoticeMessage message = MessageOf(Blocked(), Json(), 0, "en");
  EXPECT_THAT(TextPart(MailText(message, frame, kMessageTime), 1), Not(HasSubstr("<a ")));
  message.link = "https://mail.example.net/case/a.b";
  message.link_label = "Messages & reasons";
  const std::string mail = MailText(message, frame, kMessageTime);
  EXPECT_THAT(TextPart(mail, 0),
              HasSubstr("Messages & reasons: https://mail.example.net/case/a.b\r\n"));
  EXPECT_THAT(TextPart(mail, 1), HasSubstr("<a href=\"https://mail.example.net/case/a.b\">Messages "
                                           "&amp; reasons</a>"));
}

TEST(NoticeMessageTest, AMailIsMarkedAsAutomaticAndThreaded) {
  const MailFrame frame = {.from = "d@mx.example",
                           .to = "o@x.example",
                           .host = "mx.example",
                           .language = "en",
                           .title = ""};
  Notice later = Blocked();
  later.id = "n1-1-7:unblocked";
  later.kind = NoticeKind::kUnblocked;
  const std::string first = MailText(MessageOf(Blocked(), Json(), 0, "en"), frame, kMessageTime);
  const std::string again =
      MailText(MessageOf(Blocked(), Json(), 0, "en"), frame, kMessageTime + absl::Hours(1));
  const std::string second = MailText(MessageOf(later, Json(), 0, "en"), frame, kMessageTime);
  const auto header = [](const std::string& mail, const std::string& name) {
    const size_t at = mail.find("\r\n" + name + ": ");
    return at == std::string::npos ? "" : mail.substr(at, mail.find("\r\n", at + 2) - at);
  };
  EXPECT_THAT(first, HasSubstr("Auto-Submitted: auto-generated\r\n"));
  EXPECT_EQ(header(first, "References"), header(second, "References"));
  EXPECT_NE(header(first, "Message-ID"), header(second, "Message-ID"));
  EXPECT_EQ(header(first, "Message-ID"), header(again, "Message-ID"));
}

// Each event fits the published schema: its properties, its enumerations, nothing more.
TEST(NoticeMessageTest, EventsFitTheirSchema) {
  const Json schema = EventSchema();
  for (int i = 0; i < kNoticeKinds; ++i) {
    Notice notice = Blocked();
    notice.kind = static_cast<NoticeKind>(i);
    const Json event = EventJson(notice, Why(), "n1");
    for (const Json& name : schema["required"])
      EXPECT_TRUE(event.contains(name.get<std::string>()));
    for (const auto& [name, value] : event.items()) {
      ASSERT_TRUE(schema["properties"].contains(name)) << name;
      const Json& property = schema["properties"][name];
      if (property.contains("enum")) {
        EXPECT_THAT(std::vector<Json>(property["enum"].begin(), property["enum"].end()),
                    Contains(value));
      } else {
        EXPECT_EQ(property["type"], std::string(value.type_name())) << name;
      }
    }
  }
}

TEST(NoticeSendTest, PrivateNetworksAreKnown) {
  const auto is_private = [](const char* text) {
    sockaddr_storage any = {};
    if (absl::StrContains(text, ':')) {
      auto* six = reinterpret_cast<sockaddr_in6*>(&any);
      six->sin6_family = AF_INET6;
      EXPECT_EQ(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
    } else {
      auto* four = reinterpret_cast<sockaddr_in*>(&any);
      four->sin_family = AF_INET;
      EXPECT_EQ(inet_pton(AF_INET, text, &four->sin_addr), 1);
    }
    return IsPrivateAddress(reinterpret_cast<sockaddr*>(&any));
  };
  for (const char* one :
       {"127.0.0.1", "10.1.2.3", "172.31.255.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"}) {
    EXPECT_TRUE(is_private(one)) << one;
  }
  for (const char* one : {"8.8.8.8", "172.32.0.1", "192.0.1.1", "100.128.0.1", "2001:4860::8888",
                          "::ffff:8.8.8.8", "2002:808:808::"}) {
    EXPECT_FALSE(is_private(one)) << one;
  }
}

// printf '1.{}' | openssl dgst -sha256 -hmac key
TEST(NoticeSendTest, TheSignatureIsWhatOthersCompute) {
  EXPECT_EQ(Signature("key", 1, "{}"),
            "sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224");
}

}  // namespace
}  // namespace deferd
