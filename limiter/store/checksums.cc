#include "limiter/store/checksums.h"

#include <zlib.h>

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr int kNamed = 3;  // damaged rows that are named, of each table

struct CheckedTable {
  const char* name;
  const char* key;      // what names a row to people
  const char* columns;  // as CheckedValues has them
};

// Without the number of case_event, which SQLite gives.
constexpr CheckedTable kTables[] = {
    {"fact", "name", "name, text"},
    {"log", "source", "source, reader, gaps, last_gap, cursor"},
    {"log_file", "source || ' ' || number",
     "source, number, device, inode, offset, head_length, head_hash, tail_length, tail_hash, "
     "rotated"},
    {"open_message", "source || ' ' || id",
     "source, id, message_id, arrival, sender, login, user, host, identified_domain, made_by_mta, "
     "sender_vouched, deferred"},
    {"window", "kind || ' ' || id || ' ' || seconds", "kind, id, seconds, row"},
    {"left_out", "kind || ' ' || id || ' ' || seconds", "kind, id, seconds, row"},
    {"contribution", "name", "name, text"},
    {"clearing", "name", "name, text"},
    {"place", "name", "name, text"},
    {"block_case", "name", "name, text"},
    {"receipt", "name", "name, text"},
    {"case_event", "number", "time, text"},
};

// Came later, with its checksums; an older file may lack it.
constexpr CheckedTable kNoticeTable = {"notice", "name", "name, text"};

void AddNumber(uint64_t number, uLong* crc) {
  unsigned char bytes[8];
  for (unsigned char& byte : bytes) {
    byte = static_cast<unsigned char>(number & 0xFF);
    number >>= 8;
  }
  *crc = crc32(*crc, bytes, sizeof(bytes));
}

// deferd_crc(VALUE...): of each value its type, its length and its bytes.
void Checksum(sqlite3_context* context, int count, sqlite3_value** values) {
  uLong crc = crc32(0, nullptr, 0);
  for (int i = 0; i < count; ++i) {
    const int type = sqlite3_value_type(values[i]);
    AddNumber(static_cast<uint64_t>(type), &crc);
    if (type == SQLITE_NULL) continue;
    if (type == SQLITE_INTEGER) {
      AddNumber(static_cast<uint64_t>(sqlite3_value_int64(values[i])), &crc);
      continue;
    }
    const void* bytes = sqlite3_value_blob(values[i]);
    const auto size = static_cast<uInt>(sqlite3_value_bytes(values[i]));
    AddNumber(size, &crc);
    if (size > 0) crc = crc32(crc, static_cast<const Bytef*>(bytes), size);
  }
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(crc));
}

std::string ChecksumOf(absl::string_view table, absl::string_view columns) {
  return absl::StrCat("deferd_crc('", table, "', ", columns, ")");
}

absl::StatusOr<std::vector<std::string>> Texts(Database* db, const std::string& sql) {
  absl::StatusOr<Statement> read = db->Prepare(sql);
  if (!read.ok()) return read.status();
  std::vector<std::string> texts;
  while (true) {
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return texts;
    texts.emplace_back(read->Text(0));
  }
}

absl::Status CheckTable(Database* db, const CheckedTable& table, std::vector<std::string>* found) {
  absl::StatusOr<std::vector<std::string>> structure =
      Texts(db, absl::StrCat("PRAGMA integrity_check(", table.name, ")"));
  if (!structure.ok()) return structure.status();
  if (*structure != std::vector<std::string>{"ok"}) {
    structure->resize(std::min<size_t>(structure->size(), kNamed));
    found->push_back(absl::StrCat("table ", table.name, ": ", absl::StrJoin(*structure, ", ")));
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::string>> rows =
      Texts(db, absl::StrCat("SELECT ", table.key, " FROM ", table.name, " WHERE crc IS NOT ",
                             ChecksumOf(table.name, table.columns)));
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return absl::OkStatus();
  const size_t damaged = rows->size();
  rows->resize(std::min<size_t>(damaged, kNamed));
  for (std::string& row : *rows) row = PrintableAscii(row, 100);
  found->push_back(absl::StrCat("table ", table.name, ": ", damaged,
                                damaged == 1 ? " row does" : " rows do",
                                " not match the checksum (", absl::StrJoin(*rows, ", "),
                                damaged > kNamed ? ", ..." : "", ")"));
  return absl::OkStatus();
}

}  // namespace

absl::Status DefineChecksum(Database* db) { return db->DefineFunction("deferd_crc", Checksum); }

std::string CheckedValues(absl::string_view table, int columns) {
  std::string values;
  for (int i = 1; i <= columns; ++i) absl::StrAppend(&values, i > 1 ? ", " : "", "?", i);
  return absl::StrCat("VALUES (", values, ", ", ChecksumOf(table, values), ")");
}

std::string AddChecksums() {
  std::string sql;
  for (const CheckedTable& table : kTables) {
    absl::StrAppend(&sql, "ALTER TABLE ", table.name, " ADD COLUMN crc INTEGER; UPDATE ",
                    table.name, " SET crc = ", ChecksumOf(table.name, table.columns), ";");
  }
  return sql;
}

absl::Status CheckStateTables(Database* db) {
  std::vector<std::string> found;
  // What a check of single tables does not look at, and would mend or mislead what is written next.
  absl::StatusOr<int64_t> shared =
      db->Number("SELECT count(rootpage) - count(DISTINCT rootpage) FROM sqlite_master");
  if (!shared.ok()) return shared.status();
  if (*shared != 0) found.push_back("two tables begin at the same page");
  absl::StatusOr<int64_t> vacuum = db->Number("PRAGMA auto_vacuum");
  if (!vacuum.ok()) return vacuum.status();
  if (*vacuum != 0) found.push_back("header: auto_vacuum");
  for (const CheckedTable& table : kTables) {
    absl::Status status = CheckTable(db, table, &found);
    if (!status.ok()) return status;
  }
  absl::StatusOr<int64_t> notices =
      db->Number("SELECT count(*) FROM sqlite_master WHERE name = 'notice'");
  if (!notices.ok()) return notices.status();
  if (*notices > 0) {
    absl::Status status = CheckTable(db, kNoticeTable, &found);
    if (!status.ok()) return status;
  }
  if (found.empty()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(db->path(), ": is damaged: ", absl::StrJoin(found, "; ")));
}

}  // namespace deferd
