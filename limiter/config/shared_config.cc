#include "limiter/config/shared_config.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis_tls.h"

namespace deferd {

namespace {

class SharedReader {
 public:
  SharedReader(TomlReader* reader, TomlTable* table, Config* config)
      : reader_(reader), table_(table), config_(config) {}

  void Read() {
    if (auto node = table_->String("node")) {
      config_->node_name = node->text;
      if (node->text.empty()) reader_->Error(node->place, "node: give a name, such as \"mx1\"");
    }
    const auto password_file = table_->String("password_file");
    const std::optional<RedisTls> tls = ReadTls();
    const auto sentinel_file = table_->String("sentinel_password_file");
    const auto sentinel_user = table_->String("sentinel_user");
    bool encrypted = false;
    bool has_sentinels = false;
    std::vector<std::string> names;
    for (const TomlText& redis : table_->Strings("redis")) {
      absl::StatusOr<RedisAddress> address = RedisAddress::Parse(
          redis.text, password_file.has_value() ? RedisAddress::Password::kInFile
                                                : RedisAddress::Password::kInText);
      if (!address.ok()) {
        reader_->Error(redis.place, absl::StrCat("redis: ", address.status().message()));
        continue;
      }
      if (password_file.has_value()) address->password_file = password_file->text;
      encrypted = encrypted || address->tls.has_value();
      has_sentinels = has_sentinels || !address->sentinels.empty();
      if (!address->sentinels.empty()) {
        if (sentinel_file.has_value()) address->sentinel_password_file = sentinel_file->text;
        if (sentinel_user.has_value()) address->sentinel_user = sentinel_user->text;
      }
      if (address->tls.has_value() && tls.has_value()) address->tls = tls;
      const std::string name = address->ToString();
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        reader_->Error(redis.place, absl::StrCat("redis: ", name, " is listed twice"));
      }
      names.push_back(name);
      config_->redis.push_back(*std::move(address));
    }
    if (password_file.has_value()) CheckPasswordFile("password_file", *password_file);
    if (sentinel_file.has_value()) CheckPasswordFile("sentinel_password_file", *sentinel_file);
    if (sentinel_user.has_value() && !sentinel_file.has_value()) {
      reader_->Error(sentinel_user->place,
                     "sentinel_user needs sentinel_password_file, a file with its password");
    }
    if (config_->redis.empty()) return;
    if (!has_sentinels) {
      RefuseUnused({"sentinel_password_file", "sentinel_user"},
                   "redis names no sentinels; write redis+sentinel:// or rediss+sentinel://");
    }
    if (!encrypted) {
      RefuseUnused(
          {"tls_ca_file", "tls_cert_file", "tls_key_file", "tls_server_name"},
          "the connection to redis is not encrypted; write rediss://, rediss+sentinel:// or "
          "rediss+cluster://");
    }
  }

 private:
  void RefuseUnused(std::initializer_list<absl::string_view> keys, absl::string_view why) {
    for (absl::string_view key : keys) {
      if (!table_->Has(key)) continue;
      reader_->Error(table_->PlaceOf(key),
                     absl::StrCat(key, " has no effect, since ", why, ", or leave the key out"));
    }
  }

  std::optional<TomlText> ReadPath(absl::string_view key, std::string* path) {
    std::optional<TomlText> text = table_->String(key);
    if (!text.has_value()) return text;
    *path = text->text;
    if (absl::StartsWith(*path, "/")) return text;
    reader_->Error(text->place,
                   absl::StrCat(key, ": '", *path, "' is not an absolute path; begin with /"));
    return std::nullopt;
  }

  // nullopt if no key of TLS is given.
  std::optional<RedisTls> ReadTls() {
    RedisTls tls;
    const auto ca = ReadPath("tls_ca_file", &tls.ca_file);
    const auto certificate = ReadPath("tls_cert_file", &tls.cert_file);
    const auto key = ReadPath("tls_key_file", &tls.key_file);
    const auto name = table_->String("tls_server_name");
    if (ca.has_value()) Check(*ca, CheckTlsCa(tls.ca_file));
    if (certificate.has_value()) {
      Check(*certificate, CheckTlsCertificate(tls.cert_file, tls.key_file));
    } else if (key.has_value()) {
      reader_->Error(key->place, "tls_key_file needs tls_cert_file, the certificate of the key");
    }
    if (name.has_value()) {
      tls.server_name = name->text;
      if (name->text.empty()) {
        reader_->Error(name->place,
                       "tls_server_name: give the name in the server's certificate, or leave the "
                       "key out");
      }
    }
    return tls == RedisTls() ? std::nullopt : std::make_optional(tls);
  }

  void Check(const TomlText& text, const absl::Status& usable) {
    if (!usable.ok()) reader_->Error(text.place, usable.message());
  }

  void CheckPasswordFile(absl::string_view key, const TomlText& path) {
    absl::StatusOr<std::string> text = ReadTextFile(path.text);
    if (!text.ok()) {
      reader_->Error(path.place, absl::StrCat(key, ": ", text.status().message()));
    } else if (absl::StripAsciiWhitespace(*text).empty()) {
      reader_->Error(path.place,
                     absl::StrCat(key, ": ", path.text, ": is empty; write the password into it"));
    }
  }

  TomlReader* const reader_;
  TomlTable* const table_;
  Config* const config_;
};

}  // namespace

void ReadShared(TomlReader* reader, TomlTable* table, Config* config) {
  SharedReader(reader, table, config).Read();
}

}  // namespace deferd
