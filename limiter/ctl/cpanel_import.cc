#include "limiter/ctl/cpanel_import.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/config.h"
#include "policy/domain_name.h"
#include "policy/text.h"

namespace deferd {

namespace {

using Values = std::map<std::string, std::string>;

constexpr absl::string_view kPercent = "email_send_limits_max_defer_fail_percentage";
constexpr absl::string_view kMinimum = "email_send_limits_min_defer_fail_to_trigger_protection";

// "key=value" lines.
Values ReadValues(const std::string& text) {
  Values values;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    const size_t equals = line.find('=');
    if (line.empty() || line[0] == '#' || equals == line.npos) continue;
    values[std::string(absl::StripAsciiWhitespace(line.substr(0, equals)))] =
        std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
  return values;
}

bool Unlimited(absl::string_view value) {
  return value == "0" || absl::EqualsIgnoreCase(value, "unlimited");
}

// Reads a copy of cPanel's files and says what it means.
class Importer {
 public:
  explicit Importer(std::string dir) : dir_(std::move(dir)) {}

  absl::StatusOr<CpanelImport> Import() {
    const std::string config = Find({"cpanel.config", "var/cpanel/cpanel.config"});
    if (config.empty()) {
      return absl::NotFoundError(
          absl::StrCat(dir_, ": no cpanel.config; copy /var/cpanel/cpanel.config there"));
    }
    absl::StatusOr<std::string> text = ReadTextFile(config);
    if (!text.ok()) return text.status();
    const Values values = ReadValues(*text);
    if (absl::Status status = ReadServer(config, values); !status.ok()) return status;
    if (absl::Status status = ReadDomains(); !status.ok()) return status;
    if (absl::Status status = ReadUsers(); !status.ok()) return status;
    NoteOthers(values);
    return CpanelImport{Toml(), std::move(left_)};
  }

 private:
  std::string Find(std::initializer_list<const char*> names) const {
    std::error_code error;
    for (const char* name : names) {
      const std::string path = absl::StrCat(dir_, "/", name);
      if (std::filesystem::exists(path, error)) return path;
    }
    return "";
  }

  // A percentage; none: unlimited.
  static absl::StatusOr<std::optional<int>> Percent(const std::string& where,
                                                    const std::string& value) {
    if (Unlimited(value)) return std::nullopt;
    int percent = 0;
    if (!absl::SimpleAtoi(value, &percent) || percent < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, " is ", Quoted(value), "; expected a whole number or unlimited"));
    }
    return std::min(percent, 100);
  }

  absl::Status ReadServer(const std::string& path, const Values& values) {
    const auto percent = values.find(std::string(kPercent));
    if (percent != values.end() && !percent->second.empty() && percent->second != "undef") {
      absl::StatusOr<std::optional<int>> read =
          Percent(absl::StrCat(path, ": ", kPercent), percent->second);
      if (!read.ok()) return read.status();
      percent_ = *read;
    }
    const auto minimum = values.find(std::string(kMinimum));
    if (minimum != values.end() && !minimum->second.empty() &&
        (!absl::SimpleAtoi(minimum->second, &min_bad_) || min_bad_ < 1)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", kMinimum, " is ",
                                                     Quoted(minimum->second),
                                                     "; expected a whole number of at least 1"));
    }
    const auto hourly = values.find("maxemailsperhour");
    if (hourly != values.end() && !hourly->second.empty() && hourly->second != "undef") {
      absl::StatusOr<std::optional<int64_t>> most =
          Messages(absl::StrCat(path, ": maxemailsperhour"), hourly->second);
      if (!most.ok()) return most.status();
      hourly_ = *most;
    }
    const auto cutoff = values.find("email_send_limits_defer_cutoff");
    if (cutoff != values.end() && !cutoff->second.empty() && cutoff->second != "undef" &&
        (!absl::SimpleAtoi(cutoff->second, &cutoff_) || cutoff_ < 100 || cutoff_ > 10'000)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": email_send_limits_defer_cutoff is ", Quoted(cutoff->second),
                       "; expected a whole number from 100 to 10000"));
    }
    return absl::OkStatus();
  }

  // A number of messages; none: unlimited.
  static absl::StatusOr<std::optional<int64_t>> Messages(const std::string& where,
                                                         const std::string& value) {
    if (Unlimited(value)) return std::nullopt;
    int64_t most = 0;
    if (!absl::SimpleAtoi(value, &most) || most < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, " is ", Quoted(value), "; expected a whole number or unlimited"));
    }
    return most;
  }

  // "example.com: user"
  absl::Status ReadDomains() {
    const std::string path =
        Find({"userdomains", "etc/userdomains", "trueuserdomains", "etc/trueuserdomains"});
    if (path.empty()) return absl::OkStatus();
    absl::StatusOr<std::string> text = ReadTextFile(path);
    if (!text.ok()) return text.status();
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      const std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(line, absl::MaxSplits(':', 1));
      const absl::string_view domain = absl::StripAsciiWhitespace(parts.first);
      if (domain.empty() || domain[0] == '*' || domain[0] == '#') continue;
      AddDomain(std::string(absl::StripAsciiWhitespace(parts.second)), domain);
    }
    return absl::OkStatus();
  }

  void AddDomain(const std::string& user, absl::string_view name) {
    absl::StatusOr<DomainName> domain = DomainName::Parse(name);
    if (domain.ok()) {
      domains_[user].insert(domain->text());
    } else {
      left_.push_back(absl::StrCat("domain ", PrintableUtf8(name), " of ", PrintableUtf8(user),
                                   ": it is no domain name"));
    }
  }

  absl::Status ReadUsers() {
    const std::string folder = Find({"users", "var/cpanel/users"});
    if (folder.empty()) {
      left_.push_back("limits of single accounts: the copy has no folder users");
      return absl::OkStatus();
    }
    std::error_code error;
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      if (entry.is_regular_file(error)) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    for (const std::string& user : names) {
      absl::StatusOr<std::string> text = ReadTextFile(absl::StrCat(folder, "/", user));
      if (!text.ok()) return text.status();
      absl::Status read = ReadUser(user, ReadValues(*text));
      if (!read.ok()) return read;
    }
    return absl::OkStatus();
  }

  absl::Status ReadUser(const std::string& user, const Values& values) {
    for (const auto& [key, value] : values) {
      absl::string_view number = key;
      const bool dns = absl::ConsumePrefix(&number, "DNS") &&
                       number.find_first_not_of("0123456789") == absl::string_view::npos;
      if (dns && !value.empty()) AddDomain(user, value);
    }
    const auto hourly = values.find("MAX_EMAIL_PER_HOUR");
    if (hourly != values.end() && !hourly->second.empty()) {
      absl::StatusOr<std::optional<int64_t>> most =
          Messages(absl::StrCat(user, ": MAX_EMAIL_PER_HOUR"), hourly->second);
      if (!most.ok()) return most.status();
      const std::set<std::string>& domains = domains_[user];
      if (*most == hourly_) {
        // As everybody's.
      } else if (domains.empty()) {
        left_.push_back(absl::StrCat("MAX_EMAIL_PER_HOUR of account ", PrintableUtf8(user),
                                     ": no domain of it is listed"));
      } else if (most->has_value()) {
        by_hourly_[**most].insert(domains.begin(), domains.end());
      } else {
        any_hourly_.insert(domains.begin(), domains.end());
      }
    }
    const auto own = values.find("MAX_DEFER_FAIL_PERCENTAGE");
    if (own == values.end() || own->second.empty()) return absl::OkStatus();
    absl::StatusOr<std::optional<int>> percent =
        Percent(absl::StrCat(user, ": MAX_DEFER_FAIL_PERCENTAGE"), own->second);
    if (!percent.ok()) return percent.status();
    if (*percent == percent_) return absl::OkStatus();
    const std::set<std::string>& domains = domains_[user];
    if (domains.empty()) {
      left_.push_back(absl::StrCat("the limit of account ", PrintableUtf8(user),
                                   ": no domain of it is listed"));
    } else if (percent->has_value()) {
      by_percent_[**percent].insert(domains.begin(), domains.end());
    } else {
      unlimited_.insert(domains.begin(), domains.end());
    }
    return absl::OkStatus();
  }

  void NoteOthers(const Values& values) {
    const auto set = [&](const char* key) {
      const auto found = values.find(key);
      return found != values.end() && !found->second.empty() && found->second != "undef" &&
             !Unlimited(found->second);
    };
    const auto note = [&](const char* key, const char* why) {
      if (set(key)) left_.push_back(absl::StrCat(key, "=", values.at(key), ": ", why));
    };
    if (set("email_send_limits_count_mailman") && hourly_.has_value()) {
      note("email_send_limits_count_mailman", "deferd counts every message that is accepted");
    }
    note("emailsperdaynotify", "deferd has no notice by the number of messages sent");
    if (set("email_outbound_spam_detect_enable")) {
      note("email_outbound_spam_detect_threshold", "deferd does not count distinct recipients");
    }
    if (!Find({"maxemails", "var/cpanel/maxemails"}).empty()) {
      left_.push_back("maxemails: the numbers of old versions; write a rule with max_sent");
    }
    if (hourly_.has_value() || !by_hourly_.empty()) {
      left_.push_back(
          "what the hourly maximum counts: cPanel counts deliveries to other servers, deferd "
          "messages, when they are accepted");
    }
    NoteUsers({"outgoing_mail_hold_users", "etc/outgoing_mail_hold_users"}, "mail is held",
              "deferctl block DOMAIN --for 30d --reason TEXT");
    NoteUsers({"outgoing_mail_suspended_users", "etc/outgoing_mail_suspended_users"},
              "mail is suspended", "deferctl block DOMAIN --for 30d --reason TEXT");
    left_.push_back(
        "the clock hour: cPanel counts anew at each full hour, deferd in a window that slides");
    left_.push_back("the discarding of mail: deferd rejects what is submitted and holds the rest");
  }

  void NoteUsers(std::initializer_list<const char*> names, const char* what, const char* remedy) {
    const std::string path = Find(names);
    if (path.empty()) return;
    absl::StatusOr<std::string> text = ReadTextFile(path);
    if (!text.ok()) return;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      const absl::string_view user =
          absl::StripAsciiWhitespace(line.substr(0, line.find_first_of(":=")));
      if (user.empty() || user[0] == '#') continue;
      const auto found = domains_.find(std::string(user));
      left_.push_back(absl::StrCat(
          "account ", PrintableUtf8(user), ": ", what, "; ", remedy,
          found == domains_.end() ? ""
                                  : absl::StrCat(" (", absl::StrJoin(found->second, ", "), ")")));
    }
  }

  static std::string List(const std::set<std::string>& domains) {
    return absl::StrCat("domains = [\n  \"", absl::StrJoin(domains, "\",\n  \""), "\",\n]\n");
  }

  std::string Toml() const {
    std::string out =
        "# Made by deferctl policy import-cpanel. It begins in shadow: see that the cases are the\n"
        "# right ones (deferctl blocks), then write mode = \"enforce\".\n#\n"
        "# Not carried over:\n";
    // A comment of TOML takes neither control characters nor what is no UTF-8.
    for (const std::string& one : left_) absl::StrAppend(&out, "#  - ", PrintableUtf8(one), "\n");
    absl::StrAppend(&out, "\nmode = \"shadow\"\nprofile = \"cpanel\"\n\n");
    if (!percent_.has_value()) {
      absl::StrAppend(&out,
                      "# The percentage is unlimited in cPanel, so the rule is off: write "
                      "percent to switch it on.\n");
    }
    absl::StrAppend(&out, "[rule.ratio]\nmin_bad = ", min_bad_, "\n");
    if (percent_.has_value()) absl::StrAppend(&out, "percent = ", *percent_, "\n");
    absl::StrAppend(&out, kTimes);
    for (const auto& [percent, domains] : by_percent_) {
      absl::StrAppend(&out, "\n# Accounts with a percentage of their own.\n[rule.ratio_", percent,
                      "]\ninstead_of = \"ratio\"\nmin_bad = ", min_bad_, "\npercent = ", percent,
                      "\n", kTimes, List(domains));
    }
    AppendSent(&out);
    if (!unlimited_.empty()) {
      absl::StrAppend(&out, "\n[exempt.cpanel_unlimited]\n",
                      "reason = \"MAX_DEFER_FAIL_PERCENTAGE is unlimited in cPanel\"\n",
                      "by = \"import-cpanel\"\n", List(unlimited_));
    }
    return out;
  }

  // The hourly maximum. A rule with a limit of an account's own stands in for everybody's.
  void AppendSent(std::string* out) const {
    const std::string cutoff = cutoff_ > 100 ? absl::StrCat("cutoff = ", cutoff_, "\n") : "";
    const auto rule = [&](const std::string& name, int64_t most) {
      absl::StrAppend(out, "[rule.", name, "]\nmax_sent = ", most, "\n", cutoff, kTimes);
    };
    if (hourly_.has_value()) {
      absl::StrAppend(out, "\n# maxemailsperhour. Mail is held from there on",
                      cutoff.empty() ? "" : ", and refused at the cutoff, in percent", ".\n");
      rule("sent", *hourly_);
      if (!any_hourly_.empty()) {
        std::string list = List(any_hourly_);
        absl::StrAppend(out, "except", absl::StripPrefix(list, "domains"));
      }
    }
    for (const auto& [most, domains] : by_hourly_) {
      absl::StrAppend(out, "\n# Accounts with MAX_EMAIL_PER_HOUR of their own.\n");
      rule(absl::StrCat("sent_", most), most);
      if (hourly_.has_value()) absl::StrAppend(out, "instead_of = \"sent\"\n");
      absl::StrAppend(out, List(domains));
    }
  }

  static constexpr absl::string_view kTimes = "window = \"1h\"\nblock_for = \"1h\"\n";

  const std::string dir_;
  std::optional<int> percent_;
  int64_t min_bad_ = 5;                                   // cPanel's default
  std::map<std::string, std::set<std::string>> domains_;  // by account
  std::map<int, std::set<std::string>> by_percent_;
  std::set<std::string> unlimited_;
  std::optional<int64_t> hourly_;
  int cutoff_ = 125;  // cPanel's default
  std::map<int64_t, std::set<std::string>> by_hourly_;
  std::set<std::string> any_hourly_;  // without a limit, whatever everybody's is
  std::vector<std::string> left_;
};

}  // namespace

absl::StatusOr<CpanelImport> ImportCpanel(const std::string& dir) { return Importer(dir).Import(); }

}  // namespace deferd
