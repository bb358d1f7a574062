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
    pkgs = {
      stdenv.hostPlatform = { inherit system; };
      formats.toml = _: lib.tomlFormat;
    };
    config.services.yoi = builtins.mapAttrs (_: option: option.default) module.options.services.yoi // settings;
  };
in
module.config.systemd.services.yoi.serviceConfig
