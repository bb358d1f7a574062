{
  description = "Stands in for nixpkgs where that cannot be fetched: this machine's Python, and wheels by the project's lock";

  outputs =
    { self }:
    {
      legacyPackages = builtins.listToAttrs (
        map
          (system: {
            name = system;
            value = import ./packages.nix { inherit system; };
          })
          [
            "x86_64-linux"
            "aarch64-linux"
            "aarch64-darwin"
          ]
      );
    };
}
