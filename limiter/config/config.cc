#include "limiter/config/config.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/shared_config.h"
#include "limiter/port/host_name.h"
#include "policy/policy_file.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr off_t kMaxFile = 16 << 20;
constexpr absl::string_view kThisMachine[] = {"127.0.0.1", "localhost"};

std::optional<uid_t> UserId(const std::string& user) {
  uid_t number = 0;
  if (absl::SimpleAtoi(user, &number)) return number;
  passwd entry;
  passwd* found = nullptr;
  char buffer[16 << 10];
  getpwnam_r(user.c_str(), &entry, buffer, sizeof(buffer), &found);
  if (found == nullptr) return std::nullopt;
  return entry.pw_uid;
}

// The tables of deferd.toml, each read by its own function into one Config.
class ConfigReader {
 public:
  ConfigReader(TomlReader* reader, Config* config) : reader_(reader), config_(config) {}

  void Read() {
    TomlTable* root = reader_->root();
    if (auto text = root->String("state_dir")) config_->state_dir = text->text;
    if (auto text = root->String("policy")) config_->policy_path = text->text;
    if (auto text = root->String("reload_guard")) {
      absl::StatusOr<double> percent = ParsePercent("reload_guard", text->text);
      if (percent.ok()) {
        config_->reload_guard = *percent;
      } else {
        reader_->Error(text->place, percent.status().message());
      }
    }
    if (TomlTable* table = root->Table("intake")) ReadIntake(table);
    config_->charge.host = HostName();
    if (TomlTable* table = root->Table("charge")) ReadCharge(table);
    if (TomlTable* table = root->Table("hook")) ReadHook(table);
    if (TomlTable* table = root->Table("admin")) ReadAdmin(table);
    if (TomlTable* table = root->Table("http")) ReadHttp(table);
    if (TomlTable* table = root->Table("api")) ReadApi(table);
    if (TomlTable* table = root->Table("queue")) ReadQueue(table);
    if (TomlTable* table = root->Table("shared")) ReadShared(reader_, table, config_);
    if (TomlTable* table = root->Table("ledger")) ReadLedger(table);
    config_->notices = ReadNoticeSinks(reader_, root, &config_->warnings);
  }

 private:
  void ReadIntake(TomlTable* table) {
    for (const TomlText& path : table->Strings("exim")) {
      if (!absl::StartsWith(path.text, "/")) {
        reader_->Error(path.place,
                       absl::StrCat("'", path.text, "' is not an absolute path; begin with /"));
      }
      config_->exim_logs.push_back(path.text);
    }
    for (const TomlText& path : table->Strings("postfix")) {
      config_->postfix_logs.push_back(path.text);
    }
    ReadJournal(table);
    if (auto zone = table->String("timezone")) {
      config_->zone_name = zone->text;
      if (!absl::LoadTimeZone(zone->text, &config_->zone)) {
        reader_->Error(zone->place, absl::StrCat("timezone '", zone->text,
                                                 "' is not known; use a name such as "
                                                 "\"Europe/Berlin\" or \"UTC\""));
      }
    }
  }

  void ReadJournal(TomlTable* table) {
    Config::JournalIntake& journal = config_->journal;
    for (const TomlText& mta : table->Strings("journal")) {
      journal.exim = journal.exim || mta.text == "exim";
      journal.postfix = journal.postfix || mta.text == "postfix";
      if (mta.text != "exim" && mta.text != "postfix") {
        reader_->Error(mta.place,
                       absl::StrCat("journal '", mta.text,
                                    "' is not a mail server; use \"exim\" or \"postfix\""));
      }
    }
    if (auto directory = table->String("journal_directory")) {
      journal.directory = directory->text;
      if (!absl::StartsWith(directory->text, "/")) {
        reader_->Error(directory->place, absl::StrCat("'", directory->text,
                                                      "' is not an absolute path; begin with /"));
      }
    }
    for (const TomlText& user : table->Strings("journal_users")) {
      journal.users.push_back(user.text);
      if (!UserId(user.text)) {
        reader_->Error(user.place, absl::StrCat("no such user '", user.text,
                                                "' here; give a name or a number"));
      }
    }
  }

  void ReadCharge(TomlTable* table) {
    ChargeLists& lists = config_->charge;
    if (table->Has("order")) {
      std::vector<std::string> words;
      for (const TomlText& word : table->Strings("order")) words.push_back(word.text);
      absl::StatusOr<std::vector<ChargeStep>> order = ParseChargeOrder(absl::StrJoin(words, ","));
      if (!order.ok()) {
        reader_->Error(table->PlaceOf("order"), ToView(order.status()));
      } else if (order->front() == ChargeStep::kSender) {
        reader_->Error(table->PlaceOf("order"),
                       "'sender' is for replay only, because senders can be forged; list "
                       "trusted hosts in relay_hosts and use \"relay\"");
      } else {
        lists.order = *order;
      }
    }
    for (const TomlText& path : table->Strings("users")) {
      ReadMapFile(path, &lists.users, &lists.users_of_several);
    }
    for (const TomlText& path : table->Strings("logins")) ReadMapFile(path, &lists.logins);
    ReadDomains(table->Strings("hosted"), &lists.hosted);
    if (table->Has("local_domains")) {
      ReadDomains(table->Strings("local_domains"), &lists.local_domains.emplace());
    }
    ReadHosts(table->Strings("relay_hosts"), &lists.relay_hosts);
    ReadHosts(table->Strings("internal_hosts"), &lists.internal_hosts);
    if (auto local = table->Bool("local")) lists.local = *local;
  }

  using LineEntries = std::vector<absl::string_view> (*)(absl::string_view line);

  static std::vector<absl::string_view> WholeLine(absl::string_view line) { return {line}; }

  // The domains in a line of the MTA's and panel's files: "example.com" (/etc/localdomains),
  // "example.com: user" (/etc/userdomains, an Exim lsearch), "example.com OK" (the source of a
  // Postfix table) and "example.com, example.net" (a list of Postfix).
  static std::vector<absl::string_view> DomainsOfLine(absl::string_view line) {
    if (absl::StartsWith(line, "*:")) return {};  // the catch-all of /etc/userdomains
    std::vector<absl::string_view> domains;
    for (absl::string_view word :
         absl::StrSplit(line, absl::ByAnyChar(", \t"), absl::SkipEmpty())) {
      const size_t colon = absl::StartsWith(word, "[") ? absl::string_view::npos : word.find(':');
      const absl::string_view key = word.substr(0, colon);
      const bool domain = absl::StrContains(key, '.');
      // A word without a dot after a domain is the value in a table. Alone it stays an error, for
      // example "hash:/etc/postfix/domains".
      if (domains.empty() || domain) domains.push_back(domain ? key : word);
      if (domain && colon != absl::string_view::npos) break;
    }
    return domains;
  }

  // An entry that begins with '/' names a file, with one entry per line or as `entries_of` reads a
  // line.
  std::vector<TomlText> ListEntries(const std::vector<TomlText>& written,
                                    LineEntries entries_of = WholeLine) {
    std::vector<TomlText> entries;
    for (const TomlText& one : written) {
      if (!absl::StartsWith(one.text, "/")) {
        entries.push_back(one);
        continue;
      }
      config_->charge_files.push_back(one.text);
      absl::StatusOr<std::string> text = ReadTextFile(one.text);
      if (!text.ok()) {
        reader_->Error(one.place, ToView(text.status()));
        continue;
      }
      for (absl::string_view line : absl::StrSplit(*text, '\n')) {
        line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
        if (line.empty()) continue;
        for (absl::string_view entry : entries_of(line)) {
          entries.push_back({std::string(entry), one.place});
        }
      }
    }
    return entries;
  }

  void ReadDomains(const std::vector<TomlText>& written, DomainSet* domains) {
    for (const TomlText& entry : ListEntries(written, DomainsOfLine)) {
      absl::StatusOr<DomainPattern> pattern = DomainPattern::Parse(entry.text);
      if (pattern.ok()) {
        domains->push_back(*std::move(pattern));
      } else {
        reader_->Error(entry.place, ToView(pattern.status()));
      }
    }
  }

  void ReadHosts(const std::vector<TomlText>& written, HostList* hosts) {
    for (const TomlText& entry : ListEntries(written)) {
      absl::Status added = hosts->Add(entry.text);
      if (!added.ok()) reader_->Error(entry.place, ToView(added));
    }
  }

  void ReadMapFile(const TomlText& path, absl::flat_hash_map<std::string, std::string>* map,
                   absl::flat_hash_set<std::string>* several = nullptr) {
    config_->charge_files.push_back(path.text);
    absl::StatusOr<std::string> text = ReadTextFile(path.text);
    absl::Status read = text.status();
    if (text.ok()) read = ReadMap(*text, path.text, BeginsWithDomain(*text), map, several);
    if (read.ok()) return;
    for (absl::string_view mistake : absl::StrSplit(read.message(), '\n')) {
      reader_->Error(path.place, mistake);
    }
  }

  // Distinguishes "domain: user" (/etc/userdomains) from "user: domain" by the first entry.
  static bool BeginsWithDomain(absl::string_view text) {
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
      if (line.empty() || line[0] == '*') continue;
      std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(line, absl::MaxSplits(absl::ByAnyChar(": \t"), 1));
      return absl::StrContains(parts.first, '.') && !absl::StrContains(parts.second, '.');
    }
    return false;
  }

  std::vector<std::string> ReadAddresses(TomlTable* table, absl::string_view key) {
    std::vector<std::string> addresses;
    for (const TomlText& text : table->Strings(key)) {
      absl::Status valid = Listener::CheckAddress(text.text);
      if (!valid.ok()) reader_->Error(text.place, ToView(valid));
      AddOnce(text, key, &addresses);
    }
    return addresses;
  }

  void AddOnce(const TomlText& text, absl::string_view key, std::vector<std::string>* list) {
    if (std::find(list->begin(), list->end(), text.text) == list->end()) {
      list->push_back(text.text);
    } else {
      reader_->Error(text.place, absl::StrCat(key, ": '", text.text,
                                              "' is listed twice; take one of them out"));
    }
  }

  void ReadPermissions(TomlTable* table, ListenOptions* options) {
    if (auto mode = table->String("mode")) {
      int value = 0;
      bool octal = !mode->text.empty() && mode->text.size() <= 4;
      for (char c : mode->text) {
        octal = octal && c >= '0' && c <= '7';
        value = value * 8 + (c - '0');
      }
      if (octal && value <= 0777) {
        options->mode = value;
      } else {
        reader_->Error(mode->place, absl::StrCat("mode '", mode->text,
                                                 "' is not a file mode; write it as \"0660\""));
      }
    }
    if (auto group = table->String("group")) options->group = group->text;
  }

  void ReadHook(TomlTable* table) {
    config_->hook_exim = ReadAddresses(table, "exim");
    config_->hook_postfix = ReadAddresses(table, "postfix");
    ReadPermissions(table, &config_->hook_options);
  }

  void ReadAdmin(TomlTable* table) {
    ReadAdminSocket(table->String("socket"), "admin", &config_->admin_socket);
    ReadAdminSocket(table->String("readers"), "readers", &config_->readers_socket);
    ReadPermissions(table, &config_->admin_options);
    auto group = table->String("readers_group");
    if (group && config_->readers_socket.empty()) {
      reader_->Error(group->place,
                     "readers_group has no effect without readers, the socket's path");
    }
    if (group) config_->readers_options.group = group->text;
    // One address can have one set of rights only.
    if (!config_->readers_socket.empty() && config_->readers_socket == config_->admin_socket) {
      reader_->Error(table->place(),
                     "[admin] readers and socket are the same path; the readers' "
                     "socket must have a path of its own");
    }
  }

  void ReadAdminSocket(const std::optional<TomlText>& socket, absl::string_view name,
                       std::string* path) {
    if (!socket.has_value()) return;
    *path = std::string(absl::StripPrefix(socket->text, "unix:"));
    if (absl::StartsWith(*path, "/")) return;
    reader_->Error(socket->place,
                   absl::StrCat("the ", name,
                                " socket must be a unix socket, because TCP cannot identify the "
                                "client; give an absolute path such as \"/run/deferd/",
                                name, ".sock\""));
  }

  void ReadQueue(TomlTable* table) {
    for (TomlText helper : table->Strings("helper")) {
      helper.text = std::string(absl::StripPrefix(helper.text, "unix:"));
      AddOnce(helper, "helper", &config_->queue_helpers);
      if (absl::StartsWith(helper.text, "/")) continue;
      reader_->Error(helper.place,
                     "deferd-queue listens on a unix socket only; give its absolute path, "
                     "\"/run/deferd-queue/queue.sock\" by default");
    }
  }

  void ReadLedger(TomlTable* table) {
    LedgerOptions& ledger = config_->ledger;
    if (auto keep = table->String("keep")) {
      absl::StatusOr<absl::Duration> duration = ParseDuration(keep->text);
      if (keep->text == "off") {
        ledger.enabled = false;
      } else if (duration.ok()) {
        ledger.keep = *duration;
      } else {
        reader_->Error(keep->place,
                       absl::StrCat("keep '", keep->text,
                                    "' is not a valid duration; write it as \"7d\", or "
                                    "\"off\" for no ledger"));
      }
    }
    if (auto megabytes = table->Integer("max_megabytes", 16, int64_t{1} << 30)) {
      ledger.max_bytes = *megabytes << 20;
    }
    if (auto recipients = table->String("recipients")) {
      ledger.hash_recipients = recipients->text == "hash";
      if (recipients->text != "plain" && recipients->text != "hash") {
        reader_->Error(recipients->place,
                       absl::StrCat("recipients '", recipients->text,
                                    "' is not supported; use \"plain\" or \"hash\""));
      }
    }
    if (auto subjects = table->Bool("subjects")) config_->ledger_subjects = *subjects;
  }

  void ReadApi(TomlTable* table) {
    if (auto listen = table->String("listen")) {
      absl::Status valid = Listener::CheckAddress(listen->text);
      if (!valid.ok()) reader_->Error(listen->place, ToView(valid));
      config_->api_listen = listen->text;
    }
    if (auto console = table->Bool("console")) config_->api_console = *console;
    if (auto page = table->String("owner_page")) ReadOwnerPage(*page);
    if (auto key = table->String("owner_key")) {
      if (!absl::StartsWith(key->text, "/")) {
        reader_->Error(key->place, "owner_key: expected an absolute path");
      }
      config_->owner_key = key->text;
    }
    ReadPermissions(table, &config_->api_options);
  }

  // Links in mail lead there. Without TLS whoever is on the way could read them.
  void ReadOwnerPage(const TomlText& page) {
    absl::string_view rest = page.text;
    const bool secure = absl::ConsumePrefix(&rest, "https://");
    const bool plainly = !secure && absl::ConsumePrefix(&rest, "http://");
    absl::ConsumeSuffix(&rest, "/");
    // Without the port: "localhost.example.net" is somebody else.
    const bool here =
        plainly && absl::c_linear_search(kThisMachine, rest.substr(0, rest.find(':')));
    const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(".-:[]", c);
    });
    if ((!secure && !here) || rest.empty() || !plain) {
      reader_->Error(
          page.place,
          "owner_page: expected https:// and the name of the proxy, without a path, such "
          "as \"https://mail.example.net\"");
    }
    if (config_->api_listen.empty()) {
      reader_->Error(page.place, "owner_page: needs [api] listen");
    }
    config_->owner_page = absl::StrCat(secure ? "https://" : "http://", rest);
  }

  void ReadHttp(TomlTable* table) {
    config_->http_listen = ReadAddresses(table, "listen");
    if (auto series = table->Integer("subject_series", 0, 1'000)) config_->subject_series = *series;
    for (const std::string& address : config_->http_listen) {
      if (!absl::StartsWith(address, "unix:")) continue;
      reader_->Error(table->PlaceOf("listen"),
                     "HTTP listens on loopback TCP, not on a unix socket; use "
                     "127.0.0.1:PORT or [::1]:PORT");
    }
  }

  static absl::string_view ToView(const absl::Status& status) { return status.message(); }

  TomlReader* const reader_;
  Config* const config_;
};

}  // namespace

namespace {

absl::StatusOr<Config> ParseConfig(std::string text, const std::string& path) {
  absl::StatusOr<std::unique_ptr<TomlReader>> reader = TomlReader::Parse(text, path);
  if (!reader.ok()) return reader.status();
  Config config;
  config.path = path;
  config.text = std::move(text);
  ConfigReader(reader->get(), &config).Read();
  absl::Status finished = (*reader)->Finish();
  if (!finished.ok()) return finished;
  return config;
}

}  // namespace

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  return ParseConfig(*std::move(text), path);
}

absl::StatusOr<Config> ReadListsAgain(const Config& config) {
  return ParseConfig(config.text, config.path);
}

std::vector<uid_t> JournalWriters(const std::vector<std::string>& users, absl::string_view mta) {
  const std::vector<std::string> usual =
      mta == "exim" ? std::vector<std::string>{"Debian-exim", "exim", "mailnull", "mail"}
                    : std::vector<std::string>{"postfix"};
  std::vector<uid_t> ids = {0};
  for (const std::string& user : users.empty() ? usual : users) {
    if (std::optional<uid_t> id = UserId(user)) ids.push_back(*id);
  }
  return ids;
}

absl::StatusOr<double> ParsePercent(absl::string_view what, absl::string_view text) {
  double percent = 0;
  if (!absl::SimpleAtod(absl::StripSuffix(text, "%"), &percent) || !(percent >= 0) ||
      percent > 100) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is ", Quoted(text), "; give a percentage such as \"5%\""));
  }
  return percent;
}

std::vector<std::string> NeedRestart(const Config& running, const Config& loaded) {
  auto same_socket = [](const ListenOptions& a, const ListenOptions& b) {
    return a.mode == b.mode && a.group == b.group;
  };
  std::vector<std::string> changed;
  if (running.state_dir != loaded.state_dir) changed.push_back("state_dir");
  if (running.exim_logs != loaded.exim_logs || running.postfix_logs != loaded.postfix_logs ||
      running.journal != loaded.journal || running.zone_name != loaded.zone_name) {
    changed.push_back("[intake]");
  }
  if (running.hook_exim != loaded.hook_exim || running.hook_postfix != loaded.hook_postfix ||
      !same_socket(running.hook_options, loaded.hook_options)) {
    changed.push_back("[hook]");
  }
  if (running.admin_socket != loaded.admin_socket ||
      running.readers_socket != loaded.readers_socket ||
      !same_socket(running.admin_options, loaded.admin_options) ||
      !same_socket(running.readers_options, loaded.readers_options)) {
    changed.push_back("[admin]");
  }
  if (running.http_listen != loaded.http_listen ||
      running.subject_series != loaded.subject_series) {
    changed.push_back("[http]");
  }
  if (running.api_listen != loaded.api_listen || running.api_console != loaded.api_console ||
      running.owner_page != loaded.owner_page || running.owner_key != loaded.owner_key ||
      !same_socket(running.api_options, loaded.api_options)) {
    changed.push_back("[api]");
  }
  if (running.queue_helpers != loaded.queue_helpers) changed.push_back("[queue]");
  if (running.redis != loaded.redis || running.node_name != loaded.node_name)
    changed.push_back("[shared]");
  const LedgerOptions& a = running.ledger;
  const LedgerOptions& b = loaded.ledger;
  if (a.enabled != b.enabled || a.keep != b.keep || a.max_bytes != b.max_bytes ||
      a.hash_recipients != b.hash_recipients || running.ledger_subjects != loaded.ledger_subjects) {
    changed.push_back("[ledger]");
  }
  return changed;
}

namespace {

enum class Replies : uint8_t { kRead, kLeaveOut };

absl::StatusOr<LoadedPolicy> ParseLoaded(std::string text, const std::string& path,
                                         Replies replies) {
  // Of a policy that was in force before, lists that are gone by now name nobody.
  const auto read_list = [replies](const std::string& list) {
    absl::StatusOr<std::string> entries = ReadTextFile(list);
    return entries.ok() || replies == Replies::kRead ? entries : std::string();
  };
  absl::StatusOr<Policy> policy = ParsePolicy(text, path, read_list);
  if (!policy.ok()) return policy.status();
  if (!policy->replies_file.empty() && replies == Replies::kRead) {
    absl::StatusOr<std::string> more = ReadTextFile(policy->replies_file);
    if (!more.ok() && !absl::IsNotFound(more.status())) return more.status();
    if (more.ok()) {
      absl::Status added = AddReplies(*more, policy->replies_file, &*policy);
      if (!added.ok()) return added;
    }
  }
  return LoadedPolicy{std::make_shared<Policy>(*std::move(policy)), std::move(text), ""};
}

absl::StatusOr<LoadedPolicy> LoadPolicyWith(const std::string& path, Replies replies) {
  if (path.empty()) {
    return LoadedPolicy{std::make_shared<Policy>(BuiltInPolicy()), std::string(BuiltInPolicyText()),
                        ""};
  }
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  return ParseLoaded(*std::move(text), path, replies);
}

}  // namespace

absl::StatusOr<LoadedPolicy> ReadListsAgain(const LoadedPolicy& loaded) {
  if (loaded.policy->list_files.empty()) return loaded;
  absl::StatusOr<LoadedPolicy> again =
      ParseLoaded(loaded.toml, loaded.policy->path, Replies::kRead);
  if (again.ok()) again->error = loaded.error;
  return again;
}

absl::StatusOr<LoadedPolicy> LoadPolicy(const std::string& path) {
  return LoadPolicyWith(path, Replies::kRead);
}

absl::StatusOr<LoadedPolicy> LoadPolicyOrKept(const std::string& path, const std::string& kept) {
  absl::StatusOr<LoadedPolicy> loaded = LoadPolicy(path);
  if (loaded.ok()) return loaded;
  // The error may be in the file of corrections: the rules in force matter more.
  absl::StatusOr<LoadedPolicy> earlier = LoadPolicy(kept);
  if (!earlier.ok()) earlier = LoadPolicyWith(kept, Replies::kLeaveOut);
  if (!earlier.ok()) return loaded;
  earlier->error = std::string(loaded.status().message());
  return earlier;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  const int fd = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string message = absl::StrCat(path, ": ", std::strerror(errno));
    if (errno == ENOENT) return absl::NotFoundError(message);
    return absl::PermissionDeniedError(message);
  }
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory; name a file"));
  }
  std::string text;
  char buffer[64 << 10];
  while (true) {
    ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    if (static_cast<off_t>(text.size()) > kMaxFile) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": larger than 16 MiB; is it the right file?"));
    }
  }
}

}  // namespace deferd
