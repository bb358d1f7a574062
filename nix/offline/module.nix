# What nix/module.nix makes of its defaults and `settings`: the unit's serviceConfig, for the offline check to read.
{
  flake,
  system,
  settings,
}:

let
  lib = import ./lib.nix;
  module = import ../module.nix flake {
    inherit lib;
    # NixOS hands it to its modules. Systemd reads JSON's texts as they are, but for what it replaces in them.
    utils.escapeSystemdExecArgs =
      texts: lib.concatStringsSep " " (map (text: builtins.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON text)) texts);
    pkgs = {
      stdenv.hostPlatform = { inherit system; };
      formats.toml = _: lib.tomlFormat;
    };
    config.services.yoi = builtins.mapAttrs (_: option: option.default) module.options.services.yoi // settings;
  };
in
module.config.systemd.services.yoi.serviceConfig
