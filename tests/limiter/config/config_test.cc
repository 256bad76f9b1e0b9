#include "limiter/config/config.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/config/config_keys.h"
#include "policy/policy_file.h"
#include "tests/limiter/store/certificates.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(testing::TempDir(), "/deferd-config-", getpid(), "-", name);
  std::ofstream(path) << text;
  return path;
}

TEST(Config, TheFileThatIsInstalledIsValid) {
  absl::StatusOr<Config> config = LoadConfig(SourceFile("deploy/deferd.toml"));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->state_dir, "/var/lib/deferd");
  EXPECT_EQ(config->policy_path, "/etc/deferd/policy.toml");
  EXPECT_THAT(config->exim_logs, testing::ElementsAre("/var/log/exim4/mainlog"));
  EXPECT_THAT(config->hook_exim, testing::ElementsAre("unix:/run/deferd/exim.sock"));
  // For Exim, Postfix and both: no group that one of them lacks.
  EXPECT_THAT(config->postfix_logs, testing::ElementsAre("/var/log/mail.log"));
  EXPECT_THAT(config->hook_postfix,
              testing::ElementsAre("unix:/var/spool/postfix/deferd/policy.sock"));
  EXPECT_EQ(config->hook_options.group, "");
  EXPECT_EQ(config->hook_options.mode, 0660);
  EXPECT_THAT(config->http_listen, testing::ElementsAre("127.0.0.1:9780", "[::1]:9780"));
}

TEST(Config, ASocketAndAHelperForEachInstance) {
  absl::StatusOr<Config> config = LoadConfig(WriteFile(
      "instances",
      "[hook]\nexim = \"unix:/run/a.sock\"\npostfix = [\"unix:/q1/d.sock\", \"unix:/q2/d.sock\"]\n"
      "[queue]\nhelper = [\"/run/q1.sock\", \"unix:/run/q2.sock\"]\n"
      "[http]\nlisten = [\"127.0.0.1:1\", \"[::1]:1\"]\n"));
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->hook_exim, testing::ElementsAre("unix:/run/a.sock"));
  EXPECT_THAT(config->hook_postfix, testing::ElementsAre("unix:/q1/d.sock", "unix:/q2/d.sock"));
  EXPECT_THAT(config->queue_helpers, testing::ElementsAre("/run/q1.sock", "/run/q2.sock"));
  EXPECT_THAT(config->http_listen, testing::ElementsAre("127.0.0.1:1", "[::1]:1"));

  config = LoadConfig(WriteFile("twice",
                                "[hook]\nexim = [\"unix:/a\", \"unix:/a\"]\n"
                                "postfix = [\"192.0.2.1:25\"]\n"
                                "[queue]\nhelper = [\"/a\", \"queue.sock\"]\n"
                                "[http]\nlisten = [\"[::1]:1\", \"unix:/h\"]\n"));
  for (const char* said :
       {"exim: 'unix:/a' is listed twice", "192.0.2.1:25: no",
        "deferd-queue listens on a unix socket only", "HTTP listens on loopback TCP"}) {
    EXPECT_THAT(config.status().message(), HasSubstr(said));
  }
}

TEST(Config, ReloadGuardIsAPercentage) {
  EXPECT_EQ(ParsePercent("reload_guard", "5%").value_or(-1), 5);
  EXPECT_EQ(ParsePercent("reload_guard", "0.5").value_or(-1), 0.5);
  for (const char* wrong : {"", "%", "many", "-1%", "101%", "5%%", "nan"}) {
    EXPECT_FALSE(ParsePercent("reload_guard", wrong).ok()) << wrong;
  }
}

TEST(Config, TheReadersSocketHasAPathOfItsOwn) {
  absl::StatusOr<Config> config = LoadConfig(WriteFile(
      "readers",
      "[admin]\nreaders = \"unix:/run/deferd/readers.sock\"\nreaders_group = \"desk\"\n"));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->readers_socket, "/run/deferd/readers.sock");
  EXPECT_EQ(config->readers_options.group, "desk");
  EXPECT_EQ(config->readers_options.mode, 0660);
  Config other = *config;
  other.readers_socket = "/run/elsewhere.sock";
  EXPECT_THAT(NeedRestart(*config, other), ElementsAre("[admin]"));
  other = *config;
  other.readers_options.group = "";
  EXPECT_THAT(NeedRestart(*config, other), ElementsAre("[admin]"));
  for (const auto& [text, said] :
       {std::pair("readers = \"/run/deferd/admin.sock\"", "are the same path"),
        std::pair("readers = \"127.0.0.1:9000\"", "the readers socket must be a unix socket"),
        std::pair("readers_group = \"desk\"", "no effect without readers")}) {
    EXPECT_THAT(LoadConfig(WriteFile("readers", absl::StrCat("[admin]\n", text, "\n"))),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(said)));
  }
}

TEST(Config, AnEmptyFileHasTheDefaults) {
  absl::StatusOr<Config> config = LoadConfig(WriteFile("empty", ""));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->admin_socket, "/run/deferd/admin.sock");
  EXPECT_EQ(config->policy_path, "");
  EXPECT_TRUE(config->http_listen.empty());
}

TEST(Config, TheDefaultsOfTheManualAreTheDefaults) {
  std::string text;
  std::string table;
  for (const TomlKeyInfo& info : ConfigKeys()) {
    if (info.table == "[notice.NAME]") continue;  // below
    if (info.table != table) absl::StrAppend(&text, table = std::string(info.table), "\n");
    const std::string value = LiteralDefault(info);
    if (!value.empty()) absl::StrAppend(&text, info.key, " = ", value, "\n");
  }
  ASSERT_THAT(text, HasSubstr("max_megabytes = "));
  absl::StatusOr<Config> written = LoadConfig(WriteFile("manual", text));
  absl::StatusOr<Config> config = LoadConfig(WriteFile("none", ""));
  ASSERT_THAT(written, IsOk());
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(NeedRestart(*config, *written), testing::IsEmpty());
  EXPECT_EQ(written->charge.order, config->charge.order);
  EXPECT_EQ(written->charge.local, config->charge.local);
}

TEST(Config, TheDefaultsOfANoticeAreThoseOfTheManual) {
  const std::string begin = "[notice.a]\ntype = \"mail\"\nto = \"a@b.example\"\n";
  std::string text = begin;
  for (const TomlKeyInfo& info : ConfigKeys()) {
    if (info.table != "[notice.NAME]" || absl::StartsWith(info.help, "Webhook") ||
        absl::StartsWith(info.help, "Command")) {
      continue;
    }
    const std::string value = LiteralDefault(info);
    if (!value.empty()) absl::StrAppend(&text, info.key, " = ", value, "\n");
  }
  ASSERT_THAT(text, HasSubstr("expire = "));
  absl::StatusOr<Config> written = LoadConfig(WriteFile("notice-defaults", text));
  absl::StatusOr<Config> config = LoadConfig(WriteFile("notice", begin));
  ASSERT_THAT(written, IsOk());
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(written->notices, config->notices);
  EXPECT_THAT(config->warnings, ElementsAre(HasSubstr("every notice goes by mail")));
}

TEST(Config, LinksGoOverTlsExceptToThisMachine) {
  const auto read = [](const std::string& page) {
    return LoadConfig(
        WriteFile("owner-page", absl::StrCat("[api]\nlisten = \"unix:/run/deferd/api.sock\"\n"
                                             "owner_page = \"",
                                             page, "\"\n")));
  };
  for (const char* good : {"https://mail.example.net", "https://mail.example.net:8443/",
                           "http://localhost", "http://localhost:8080/", "http://127.0.0.1:80"}) {
    EXPECT_THAT(read(good), IsOk()) << good;
  }
  for (const char* bad :
       {"http://localhost.evil.example", "http://127.0.0.1.evil.example:80", "http://localhostess",
        "http://mail.example.net", "http://", "https://", "https://a.example/path"}) {
    EXPECT_FALSE(read(bad).ok()) << bad;
  }
}

TEST(Config, WhoHearsOfWhat) {
  const std::string owners = WriteFile(
      "owners", "# ours\nshop.example: ann@far.example de\nother.example  bob@far.example\n");
  const std::string secret = WriteFile("secret", "s3cret\n");
  absl::StatusOr<Config> config = LoadConfig(WriteFile(
      "notices",
      absl::StrCat("[notice.owners]\ntype = \"mail\"\nowner = \"postmaster@{domain}\"\nowners = \"",
                   owners,
                   "\"\non = [\"blocked\", \"unblocked\"]\nfor = [\"domain\", \"tag:vip\"]\n"
                   "quiet_hours = \"22:00-07:30\"\n[notice.chat]\ntype = \"webhook\"\n"
                   "url = \"https://chat.example/x\"\nsecret_file = \"",
                   secret, "\"\n")));
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->notices.size(), 2u);
  const NoticeSink& mail = config->notices[0];
  EXPECT_THAT(mail.on, ElementsAre(NoticeKind::kBlocked, NoticeKind::kUnblocked));
  EXPECT_THAT(mail.kinds, ElementsAre(SubjectKind::kDomain));
  EXPECT_THAT(mail.tags, ElementsAre("vip"));
  EXPECT_EQ(mail.quiet_from, 22 * 60);
  EXPECT_EQ(mail.quiet_until, 7 * 60 + 30);
  EXPECT_EQ(mail.owners.at("shop.example").language, "de");
  EXPECT_EQ(mail.owners.at("other.example").address, "bob@far.example");
  EXPECT_EQ(config->notices[1].secret, "s3cret");
  EXPECT_THAT(config->warnings, testing::IsEmpty());
}

TEST(Config, EveryMistakeOfANotice) {
  const std::string path =
      WriteFile("bad-notices",
                "[notice.a]\ntype = \"post\"\n[notice.b]\ntype = \"mail\"\nto = \"x\"\n"
                "title = \"{evnt}\"\nlanguage = \"xx\"\nhost = \"mx\"\non = \"blockd\"\n"
                "for = \"domian\"\nquiet_hours = \"9-17\"\n[notice.c]\ntype = \"webhook\"\n"
                "url = \"ftp://x\"\n[notice.d]\ntype = \"mail\"\nowner = \"{user}@{domain}\"\n");
  absl::StatusOr<Config> config = LoadConfig(path);
  ASSERT_FALSE(config.ok());
  for (int line : {2, 5, 6, 7, 8, 9, 10, 11, 14, 17}) {
    EXPECT_THAT(std::string(config.status().message()),
                HasSubstr(absl::StrCat(path, ":", line, ":")));
  }
}

TEST(Config, AListOfOwnersNamesItsMistakes) {
  const std::string owners = WriteFile("bad-owners", ":\n: : :\nshop.example\nshop.example: no\n");
  absl::StatusOr<Config> config = LoadConfig(
      WriteFile("with-bad-owners",
                absl::StrCat("[notice.owners]\ntype = \"mail\"\nowners = \"", owners, "\"\n")));
  ASSERT_FALSE(config.ok());
  for (int line : {1, 2, 3, 4}) {
    EXPECT_THAT(std::string(config.status().message()),
                HasSubstr(absl::StrCat(owners, ":", line, ": write")));
  }
}

TEST(Config, JournalSources) {
  absl::StatusOr<Config> config =
      LoadConfig(WriteFile("journal",
                           "[intake]\njournal = [\"postfix\"]\njournal_directory = "
                           "\"/x\"\njournal_users = [\"4711\"]\n"));
  ASSERT_THAT(config, IsOk());
  EXPECT_TRUE(config->journal.postfix);
  EXPECT_FALSE(config->journal.exim);
  EXPECT_EQ(config->journal.directory, "/x");
  EXPECT_THAT(JournalWriters(config->journal.users, "postfix"), testing::ElementsAre(0, 4711));
  EXPECT_THAT(JournalWriters({"root"}, "exim"), testing::ElementsAre(0, 0));
  EXPECT_EQ(JournalWriters({}, "exim").front(), 0u);
  Config other = *config;
  other.journal.exim = true;
  EXPECT_THAT(NeedRestart(*config, other), testing::ElementsAre("[intake]"));

  const std::string bad = WriteFile("bad-journal",
                                    "[intake]\njournal = [\"sendmail\"]\njournal_directory = "
                                    "\"x\"\njournal_users = [\"no such user\"]\n");
  config = LoadConfig(bad);
  ASSERT_FALSE(config.ok());
  for (int line : {2, 3, 4}) {
    EXPECT_THAT(std::string(config.status().message()),
                HasSubstr(absl::StrCat(bad, ":", line, ":")));
  }
}

TEST(Config, ReadsTheListsOfCharge) {
  const std::string users = WriteFile("userdomains", "shop.example: shop\n*: nobody\n");
  const std::string plain = WriteFile("users", "# people\nann: ann.example\n");
  const std::string hosted = WriteFile("hosted", "shop.example\n# old\n*.ann.example\n");
  absl::StatusOr<Config> config = LoadConfig(
      WriteFile("charge", absl::StrCat("[charge]\norder = [\"login\", \"relay\"]\nusers = [\"",
                                       users, "\", \"", plain, "\"]\nhosted = \"", hosted,
                                       "\"\nrelay_hosts = [\"192.0.2.0/24\"]\nlocal = true\n")));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->charge.order,
            (std::vector<ChargeStep>{ChargeStep::kLogin, ChargeStep::kRelay}));
  EXPECT_EQ(config->charge.users.at("shop"), "shop.example");
  EXPECT_EQ(config->charge.users.at("ann"), "ann.example");
  EXPECT_FALSE(config->charge.hosted.empty());
  EXPECT_TRUE(config->charge.relay_hosts.ContainsAddress("192.0.2.77"));
  EXPECT_TRUE(config->charge.local);
}

TEST(Config, LocalDomainsAreAListAndFiles) {
  absl::StatusOr<Config> config = LoadConfig(WriteFile("unset", "[charge]\nlocal = false\n"));
  ASSERT_THAT(config, IsOk());
  EXPECT_FALSE(config->charge.local_domains.has_value());
  config = LoadConfig(WriteFile("none", "[charge]\nlocal_domains = []\n"));
  ASSERT_THAT(config, IsOk());
  ASSERT_TRUE(config->charge.local_domains.has_value()) << "nothing is delivered here";
  EXPECT_TRUE(config->charge.local_domains->empty());
  const std::string file = WriteFile("localdomains", "# panel\nshop.example\nann.example OK\n");
  const std::string path = WriteFile(
      "local.toml", absl::StrCat("[charge]\nlocal_domains = [\"*.mx.example\", \"", file, "\"]\n"));
  config = LoadConfig(path);
  ASSERT_THAT(config, IsOk());
  for (const char* domain : {"shop.example", "ann.example", "a.mx.example"}) {
    EXPECT_TRUE(config->charge.local_domains->Matches(domain)) << domain;
  }
  EXPECT_FALSE(config->charge.local_domains->Matches("far.example"));
  WriteFile("localdomains", "new.example\n");  // a reload reads the file again
  config = LoadConfig(path);
  ASSERT_THAT(config, IsOk());
  EXPECT_TRUE(config->charge.local_domains->Matches("new.example"));
  EXPECT_FALSE(config->charge.local_domains->Matches("shop.example"));
  EXPECT_FALSE(LoadConfig(WriteFile("bad", "[charge]\nlocal_domains = [\"a b\"]\n")).ok());
}

TEST(Config, HostedDomainsInTheFilesThatServersHave) {
  const struct {
    const char* name;
    const char* text;
  } kForms[] = {
      {"localdomains", "a.example\nb.example\n"},
      {"userdomains", "a.example: ann\nb.example:bob\n*: nobody\n"},
      {"table", "a.example  OK\nb.example\tvirtual\n"},
      {"postfix-list", "a.example, b.example\n"},
      {"postfix-list-of-blanks", "  a.example b.example # ours\n"},
  };
  for (const auto& form : kForms) {
    const std::string list = WriteFile(form.name, form.text);
    absl::StatusOr<Config> config = LoadConfig(WriteFile(
        std::string(form.name) + ".toml", absl::StrCat("[charge]\nhosted = \"", list, "\"\n")));
    ASSERT_THAT(config, IsOk()) << form.name;
    EXPECT_TRUE(config->charge.hosted.Matches("a.example")) << form.name;
    EXPECT_TRUE(config->charge.hosted.Matches("b.example")) << form.name;
    for (const char* other : {"ann", "nobody", "ok", "c.example"}) {
      EXPECT_FALSE(config->charge.hosted.Matches(other)) << form.name << " " << other;
    }
  }
  const std::string tables = WriteFile("tables", "hash:/etc/postfix/domains\n");
  EXPECT_FALSE(
      LoadConfig(WriteFile("t.toml", absl::StrCat("[charge]\nhosted = \"", tables, "\"\n"))).ok());
}

TEST(Config, EveryMistakeWithItsPlace) {
  const std::string path = WriteFile(
      "bad",
      "[hook]\nexim = \"10.0.0.1:25\"\npostfix = \"10.0.0.1:26\"\nmode = \"0999\"\n"
      "[charge]\norder = \"sender\"\nusers = \"/nowhere/map\"\n"
      "[shared]\nredis = \"redis//x\"\n[http]\nlisten = \"unix:/x\"\n[admin]\nsocket = \"x\"\n"
      "[queue]\nhelper = \"x\"\n");
  absl::StatusOr<Config> config = LoadConfig(path);
  ASSERT_FALSE(config.ok());
  for (int line : {2, 3, 4, 6, 7, 9, 11, 13, 15}) {
    EXPECT_THAT(std::string(config.status().message()),
                HasSubstr(absl::StrCat(path, ":", line, ":")));
  }
}

TEST(Config, WhereNodesShare) {
  const std::string path =
      WriteFile("shared", "[shared]\nredis = \"redis://deferd:secret@10.0.0.5/1\"\n");
  absl::StatusOr<Config> config = LoadConfig(path);
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->redis.size(), 1u);
  EXPECT_EQ(config->redis[0].ToString(), "redis://10.0.0.5:6379/1");
  Config other = *config;
  other.redis[0].db = 2;
  EXPECT_THAT(NeedRestart(*config, other), ::testing::ElementsAre("[shared]"));
}

TEST(Config, TheConnectionToRedisIsEncrypted) {
  Authority authority;
  const Authority::Files mine = authority.Sign();
  const std::string password = WriteFile("password", "secret\n");
  const std::string text = absl::StrCat(
      "[shared]\nredis = \"rediss+sentinel://deferd@s1,s2/mails\"\npassword_file = \"", password,
      "\"\ntls_ca_file = \"", authority.ca_file(), "\"\ntls_cert_file = \"", mine.cert,
      "\"\ntls_key_file = \"", mine.key, "\"\ntls_server_name = \"redis.example\"\n",
      "sentinel_user = \"watcher\"\nsentinel_password_file = \"", password, "\"\n");
  absl::StatusOr<Config> config = LoadConfig(WriteFile("tls", text));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->redis[0].ToString(), "rediss+sentinel://s1:26379,s2:26379/mails");
  EXPECT_EQ(config->redis[0].user, "deferd");
  EXPECT_EQ(config->redis[0].password, "");
  EXPECT_EQ(config->redis[0].password_file, password);
  EXPECT_EQ(config->redis[0].sentinel_user, "watcher");
  EXPECT_EQ(config->redis[0].sentinel_password_file, password);
  EXPECT_EQ(config->redis[0].tls, (RedisTls{.ca_file = authority.ca_file(),
                                            .cert_file = mine.cert,
                                            .key_file = mine.key,
                                            .server_name = "redis.example"}));
  Config other = *config;
  other.redis[0].tls->server_name = "other.example";
  EXPECT_THAT(NeedRestart(*config, other), ::testing::ElementsAre("[shared]"));
}

TEST(Config, SeveralRedisAreShardsInTheirOrder) {
  absl::StatusOr<Config> config =
      LoadConfig(WriteFile("shards", "[shared]\nredis = [\"redis://b\", \"redis://a/2\"]\n"));
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->redis.size(), 2u);
  EXPECT_EQ(config->redis[0].ToString(), "redis://b:6379");
  EXPECT_EQ(config->redis[1].ToString(), "redis://a:6379/2");
  const std::string path =
      WriteFile("shards", "[shared]\nredis = [\"redis://a\",\n  \"redis://u:p@a:6379\"]\n");
  EXPECT_THAT(LoadConfig(path).status().message(),
              HasSubstr(absl::StrCat(path, ":3:3: redis: redis://a:6379 is listed twice")));
}

TEST(Config, MistakesInTheKeysOfRedisHaveTheirPlaceAndRemedy) {
  Authority authority;
  const Authority::Files one = authority.Sign();
  const Authority::Files two = authority.Sign();
  const std::string password = WriteFile("password", "secret\n");
  const std::string empty = WriteFile("empty", "\n");
  const std::string tls = "redis = \"rediss://h\"\n";
  const std::string sentinels = "redis = \"redis+sentinel://h/mails\"\n";
  auto key = [](absl::string_view name, absl::string_view value) {
    return absl::StrCat(name, " = \"", value, "\"\n");
  };
  const struct {
    std::string text;
    int line;
    std::string said;
  } kCases[] = {
      {tls + key("tls_ca_file", "/nowhere/ca.pem"), 3, "/nowhere/ca.pem: no certificates"},
      {tls + key("tls_ca_file", one.key), 3, "no certificates in PEM form"},
      {tls + key("tls_ca_file", "ca.pem"), 3, "'ca.pem' is not an absolute path"},
      {tls + key("tls_cert_file", one.cert) + key("tls_key_file", two.key), 3,
       "is not the key of the certificate in"},
      {tls + key("tls_cert_file", one.cert), 3, "no private key"},
      {tls + key("tls_key_file", one.key), 3, "tls_key_file needs tls_cert_file"},
      {tls + key("tls_server_name", ""), 3, "give the name in the server's certificate"},
      {key("redis", "redis://h") + key("tls_ca_file", authority.ca_file()), 3,
       "tls_ca_file has no effect, since the connection to redis is not encrypted"},
      {key("redis", "redis+unix:///s") + key("tls_server_name", "h"), 3, "not encrypted"},
      {key("redis", "rediss://deferd:secret@h") + key("password_file", password), 2,
       "leave out one of them"},
      {key("redis", "rediss://deferd@h"), 2, "[shared] password_file"},
      {tls + key("password_file", "/nowhere/password"), 3, "/nowhere/password"},
      {tls + key("password_file", empty), 3, "is empty; write the password into it"},
      {sentinels + key("sentinel_password_file", empty), 3, "is empty; write the password into it"},
      {sentinels + key("sentinel_user", "deferd"), 3, "needs sentinel_password_file"},
      {tls + key("sentinel_password_file", password), 3, "redis names no sentinels"},
  };
  for (const auto& each : kCases) {
    const std::string path = WriteFile("bad-tls", "[shared]\n" + each.text);
    absl::StatusOr<Config> config = LoadConfig(path);
    EXPECT_THAT(config, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(each.said)));
    EXPECT_THAT(std::string(config.status().message()),
                testing::AllOf(HasSubstr(absl::StrCat(path, ":", each.line, ":")),
                               testing::Not(HasSubstr("secret"))));
  }
}

TEST(Config, MissingFilesAreNamed) {
  EXPECT_THAT(LoadConfig("/nowhere/deferd.toml"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/deferd.toml")));
  EXPECT_THAT(LoadPolicy("/nowhere/policy.toml"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/policy.toml")));
  EXPECT_THAT(ReadTextFile("/"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("directory")));
}

TEST(Config, WithoutANameThePolicyIsTheBuiltInOne) {
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy("");
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->policy->hash, BuiltInPolicy().hash);
  EXPECT_EQ(policy->policy->path, "built-in");
}

}  // namespace
}  // namespace deferd
