# The functions of nixpkgs's lib that are used here. The options and the module system are names only: enough to read
# one configuration of nix/module.nix, not to merge several.
let
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
in
rec {
  inherit hasPrefix;
  removePrefix =
    prefix: text:
    if hasPrefix prefix text then
      builtins.substring (builtins.stringLength prefix) (builtins.stringLength text) text
    else
      text;
  removeSuffix =
    suffix: text:
    let
      kept = builtins.stringLength text - builtins.stringLength suffix;
    in
    if kept >= 0 && builtins.substring kept (builtins.stringLength suffix) text == suffix then
      builtins.substring 0 kept text
    else
      text;

  concatLists = builtins.concatLists;
  concatMap = builtins.concatMap;
  concatStringsSep = builtins.concatStringsSep;
  optional = condition: element: if condition then [ element ] else [ ];
  optionals = condition: elements: if condition then elements else [ ];
  mapAttrsToList = function: set: map (name: function name set.${name}) (builtins.attrNames set);
  getExe = package: "${package}/bin/${package.meta.mainProgram}";

  licenses.mit.spdxId = "MIT";
  platforms.unix = [
    "x86_64-linux"
    "aarch64-linux"
    "x86_64-darwin"
    "aarch64-darwin"
  ];

  # Values on one line each, tables inline; JSON's texts are TOML's.
  tomlFormat = {
    type = "toml";
    generate =
      name: set:
      let
        value =
          it:
          if builtins.isAttrs it then
            "{ ${builtins.concatStringsSep ", " (mapAttrsToList (key: inner: "${builtins.toJSON key} = ${value inner}") it)} }"
          else if builtins.isList it then
            "[ ${builtins.concatStringsSep ", " (map value it)} ]"
          else
            builtins.toJSON it;
      in
      builtins.toFile name (
        builtins.concatStringsSep "" (mapAttrsToList (key: it: "${builtins.toJSON key} = ${value it}\n") set)
      );
  };

  mkOption = option: option;
  mkEnableOption = what: {
    default = false;
    description = "Whether to enable ${what}.";
  };
  mkIf = condition: content: if condition then content else { };
  literalExpression = text: text;
  types = {
    package = "package";
    path = "path";
    str = "str";
    enum = values: { enum = values; };
    either = one: other: { either = [ one other ]; };
    attrsOf = type: { attrsOf = type; };
    listOf = type: { listOf = type; };
    nullOr = type: { nullOr = type; };
    submodule = module: { submodule = module; };
  };
}
