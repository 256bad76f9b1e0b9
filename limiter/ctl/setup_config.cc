#include "limiter/ctl/setup_config.h"

#include <sys/stat.h>

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/setup_blocks.h"

namespace deferd {

namespace {

bool Exists(const std::string& path) {
  struct stat unused;
  return stat(path.c_str(), &unused) == 0;
}

bool IsTable(absl::string_view line, absl::string_view table) {
  line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
  return line == absl::StrCat("[", table, "]");
}

// The line that sets the key in the table, or -1; *header is the table's own, or -1.
int FindKey(const BlockText& file, absl::string_view table, absl::string_view key, int* header) {
  *header = file.Find([&](absl::string_view line) { return IsTable(line, table); });
  if (*header < 0) return -1;
  for (int i = *header + 1; i < file.size(); ++i) {
    absl::string_view line = absl::StripLeadingAsciiWhitespace(file.line(i));
    if (absl::StartsWith(line, "[")) return -1;
    if (absl::ConsumePrefix(&line, key) &&
        absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "=")) {
      return i;
    }
  }
  return -1;
}

// user -> domain of files such as "dom=example.com" and "user=bob", or DOMAIN='example.com'.
void AddMap(const std::string& user, const std::string& domain, std::string* text) {
  if (!user.empty() && !domain.empty()) absl::StrAppend(text, domain, ": ", user, "\n");
}

}  // namespace

std::string TomlList(const std::vector<std::string>& items) {
  return absl::StrCat("[\"", absl::StrJoin(items, "\", \""), "\"]");
}

std::string WithKeys(absl::string_view text, absl::string_view mta,
                     const std::vector<WantedKey>& keys) {
  BlockText file(text);
  std::vector<std::string> tables;  // in the order in which they are wanted
  std::map<std::string, std::string> lines;
  for (const WantedKey& wanted : keys) {
    int header = -1;
    if (FindKey(file, wanted.table, wanted.key, &header) >= 0 && wanted.in_place_of != wanted.key) {
      continue;
    }
    const std::string line = absl::StrCat(wanted.key, " = ", wanted.value);
    if (!wanted.in_place_of.empty()) {
      const int old = FindKey(file, wanted.table, wanted.in_place_of, &header);
      if (old >= 0) {
        file.Insert(old, absl::StrCat(mta, "-", wanted.key), line, 1);
        continue;
      }
    }
    if (lines.find(wanted.table) == lines.end()) tables.push_back(wanted.table);
    absl::StrAppend(&lines[wanted.table], line, "\n");
  }
  for (const std::string& table : tables) {
    int header = -1;
    FindKey(file, table, "", &header);
    const std::string name = absl::StrCat(mta, "-", table);
    if (header >= 0) {
      file.Insert(header + 1, name, lines[table]);
    } else {
      file.Insert(file.size(), name, absl::StrCat("[", table, "]\n", lines[table]));
    }
  }
  return file.Text();
}

PanelFound FindPanel(const std::string& root) {
  PanelFound panel;
  const auto map = [&](const char* name) {
    panel.name = name;
    panel.map_path = root + "/etc/deferd/users";
    panel.users = panel.map_path;
    panel.hosted = panel.map_path;
    panel.note = absl::StrCat(name, ": the accounts' domains are now in ", panel.map_path,
                              "; run setup again when customers come or go");
  };
  if (Exists(root + "/usr/local/cpanel/version")) {
    panel.name = "cPanel";
    panel.users = root + "/etc/trueuserdomains";
    panel.hosted = root + "/etc/userdomains";
  } else if (Exists(root + "/etc/virtual/domainowners")) {
    panel.name = "DirectAdmin";
    panel.users = root + "/etc/virtual/domainowners";
    panel.hosted = panel.users;
  } else if (const std::string users = root + "/usr/local/hestia/data/users/"; Exists(users)) {
    map("HestiaCP");
    for (const std::string& path : FilesLike(users + "*/mail.conf")) {
      const std::string user = path.substr(users.size(), path.rfind('/') - users.size());
      for (absl::string_view line : absl::StrSplit(FileText(path).value_or(""), '\n')) {
        if (!absl::ConsumePrefix(&line, "DOMAIN='")) continue;
        AddMap(user, std::string(line.substr(0, line.find('\''))), &panel.map_text);
      }
    }
  } else if (const std::string domains = root + "/etc/webmin/virtual-server/domains/";
             Exists(domains)) {
    map("Virtualmin");
    for (const std::string& path : FilesLike(domains + "*")) {
      std::string user, domain;
      for (absl::string_view line : absl::StrSplit(FileText(path).value_or(""), '\n')) {
        if (absl::ConsumePrefix(&line, "dom="))
          domain = std::string(line);
        else if (absl::ConsumePrefix(&line, "user="))
          user = std::string(line);
      }
      AddMap(user, domain, &panel.map_text);
    }
  } else if (Exists(root + "/usr/local/psa/version")) {
    panel.name = "Plesk";
  } else if (Exists(root + "/usr/local/ispconfig/server")) {
    panel.name = "ISPConfig";
  }
  if (!panel.name.empty() && panel.users.empty()) {
    panel.note = absl::StrCat(
        panel.name,
        " keeps its accounts in its database: logins are charged, scripts are not. Write ",
        "lines \"domain: user\" into a file, and name it as [charge] users");
  }
  for (std::string* file : {&panel.users, &panel.hosted}) {
    if (!file->empty() && *file != panel.map_path && !Exists(*file)) file->clear();
  }
  if (panel.map_text.empty() && !panel.map_path.empty()) {
    panel.map_path.clear();
    panel.users.clear();
    panel.hosted.clear();
    panel.note = absl::StrCat(panel.name, " has no account with mail yet; run setup again then");
  }
  return panel;
}

}  // namespace deferd
